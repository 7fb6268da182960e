-- LuaHookAccessChecker clusterpass.lua authorize
-- Asks the authorization endpoints in the variable CLUSTERPASS about each request, one after the
-- other, until one answers. An answer other than 200 goes to the client (302, 401, 403, 503); the
-- identity headers of a 200 go to the upstream, and its Set-Cookie to the client.
-- LuaHookAccessChecker clusterpass.lua pass
-- Lets every request through without asking, for the page of the auth service. Identity headers
-- that the client sent are removed.

local http = require("socket.http")
local ltn12 = require("ltn12")

http.TIMEOUT = 3 -- seconds
local ABOUT = {
    "Authorization", "Cookie", "Origin", "Access-Control-Request-Method",
    "Accept", "Sec-Fetch-Mode", "Sec-Fetch-Dest", "Sec-Fetch-Site",
}
local KEPT = { "cache-control", "www-authenticate", "retry-after", "location" }
local OWN = {
    ["__Host-clusterpass-proxy"] = true,
    ["__Secure-clusterpass-proxy"] = true,
    ["clusterpass-proxy"] = true,
}
local IDENTITY = { "^x%-auth%-", "^remote%-" }
local CLAIMS = { "^x%-auth%-", "^remote%-", "^x%-forwarded%-", "^forwarded$", "^x%-real%-ip$" }
local UNAVAILABLE = '{"type":"about:blank","status":503,'
    .. '"title":"Nobody can tell now whether the session lives; try again."}\n'
-- What else a Connection header names, a proxy drops on the way: identity headers, too.
local CONNECTION = { ["close"] = true, ["keep-alive"] = true, ["upgrade"] = true }

local first = {} -- which endpoint of a list answered last

local function is_like(name, patterns)
    name = name:lower():gsub("_", "-") -- some upstreams take one for the other
    for _, pattern in ipairs(patterns) do
        if name:find(pattern) then
            return true
        end
    end
    return false
end

local function remove_claims(r)
    for name in pairs(r:headers_in_table()) do
        if is_like(name, CLAIMS) then
            r.headers_in[name] = nil
        end
    end
    local options, kept = r.headers_in["Connection"], {}
    if options then
        for option in options:gmatch("[^%s,]+") do
            kept[#kept + 1] = CONNECTION[option:lower()] and option
        end
        r.headers_in["Connection"] = table.concat(kept, ", ")
    end
    r.headers_in["X-Forwarded-Proto"] = r.is_https and "https" or "http"
end

local function question(r)
    local headers = {
        ["X-Original-Method"] = r.method,
        ["X-Original-Proto"] = r.is_https and "https" or "http",
        ["X-Original-Host"] = r.hostname and r.hostname .. ":" .. r.port or "",
        ["X-Original-URI"] = r.unparsed_uri,
        ["X-Forwarded-For"] = r.useragent_ip,
    }
    for _, name in ipairs(ABOUT) do
        headers[name] = r.headers_in[name]
    end
    return headers
end

-- The cookie for the proxy is for it alone.
local function remove_own_cookie(r)
    local sent, kept = r.headers_in["Cookie"], {}
    if not sent then
        return
    end
    for pair in sent:gmatch("[^;]+") do
        if not OWN[pair:match("^%s*([^=]-)%s*=")] then
            kept[#kept + 1] = pair
        end
    end
    r.headers_in["Cookie"] = (table.concat(kept, ";"):gsub("^%s+", ""))
end

local function ask(url, headers)
    local body = {}
    local sink = ltn12.sink.table(body)
    local reached, status, answered =
        http.request({ url = url, headers = headers, sink = sink, redirect = false })
    if not reached then
        return nil
    end
    return { status = status, headers = answered, body = table.concat(body) }
end

local function ask_one_of(list, headers)
    local urls = {}
    for url in list:gmatch("%S+") do
        urls[#urls + 1] = url
    end
    local start = first[list] or 0
    for turn = 0, #urls - 1 do
        local index = (start + turn) % #urls
        local answer = ask(urls[index + 1], headers)
        if answer then
            first[list] = index
            return answer
        end
    end
    return nil
end

local function respond(r, status, headers, body)
    r.status = status
    r.content_type = "application/problem+json"
    for _, name in ipairs(KEPT) do
        if headers[name] then
            r.err_headers_out[name] = headers[name]
        end
    end
    r:write(body)
    return apache2.DONE
end

function authorize(r)
    remove_claims(r)
    local asked, answer = pcall(ask_one_of, r.subprocess_env["CLUSTERPASS"] or "", question(r))
    local status = asked and answer and answer.status or 0
    if status == 200 then
        for name, value in pairs(answer.headers) do
            if is_like(name, IDENTITY) then
                r.headers_in[name] = value
            end
        end
        -- The renewed cookie, also with an error of the upstream.
        if answer.headers["set-cookie"] then
            r.err_headers_out["Set-Cookie"] = answer.headers["set-cookie"]
        end
        remove_own_cookie(r)
        return apache2.OK
    end
    local is_told = status == 302 or status == 401 or status == 403
    if is_told or (status == 503 and answer.headers["retry-after"]) then
        return respond(r, status, answer.headers, answer.body)
    end
    return respond(r, 503, { ["retry-after"] = "5", ["cache-control"] = "no-store" }, UNAVAILABLE)
end

function pass(r)
    remove_claims(r)
    return apache2.OK
end
