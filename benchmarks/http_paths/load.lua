-- Varied requests for wrk: each takes the next line of FILE, starting at OFFSET.
--   wrk -s load.lua URL -- MODE METHOD FILE OFFSET
-- MODE says what a line is:
--   header  headers, such as "Authorization: Bearer ..."
--   body    bodies in JSON
--   rotate  refresh tokens; each is used once, and the one in its answer takes its place
local requests, position, count = {}, 0, 0
local tokens, first, last = {}, 1, 0
local json = { ["Content-Type"] = "application/json" }

local function exchange()
  local token = tokens[first]
  tokens[first] = nil
  first = first + 1
  return wrk.format(wrk.method, nil, json, '{"refresh_token":"' .. token .. '"}')
end

local function keep(status, _, body)
  local token = status == 200 and body:match('"refresh_token":"([^"]+)"')
  if token then
    last = last + 1
    tokens[last] = token
  end
end

local function take_turns()
  position = position % count + 1
  return requests[position]
end

function init(args)
  local mode, method, file, offset = args[1], args[2], args[3], tonumber(args[4])
  wrk.method = method
  for line in io.lines(file) do
    count = count + 1
    if mode == "header" then
      local name, value = line:match("^([^:]+): (.*)$")
      requests[count] = wrk.format(method, nil, { [name] = value })
    elseif mode == "body" then
      requests[count] = wrk.format(method, nil, json, line)
    else
      tokens[count] = line
    end
  end
  position, last = offset % count, count
  request = take_turns
  if mode == "rotate" then
    request, response = exchange, keep
  end
end

-- One line for wrk.py; "failed" counts answers other than 2xx and 3xx, too, and those "closed":
-- requests without an answer, as the server has closed the connection.
function done(summary, latency, _)
  local errors = summary.errors
  local failed = errors.connect + errors.read + errors.write + errors.status + errors.timeout
  print(string.format("MEASURED requests=%d microseconds=%d failed=%d p99=%d closed=%d",
    summary.requests, summary.duration, failed, latency:percentile(99), errors.read))
end
