-- http-request lua.clusterpass URL
-- Asks the authorization endpoint at URL about each request. An answer other than 200 goes to the
-- client (302, 401, 403, 503); the identity headers of a 200 go to the upstream, and its Set-Cookie
-- into the variable txn.clusterpass_set_cookie. The cookie for the proxy is removed from the
-- request, so the upstream never sees it.

local TIMEOUT = 5000 -- milliseconds, above those of the backend: HAProxy repeats a question
local ABOUT = {
    "authorization", "cookie", "origin", "access-control-request-method",
    "accept", "sec-fetch-mode", "sec-fetch-dest", "sec-fetch-site",
}
local KEPT = { "content-type", "cache-control", "www-authenticate", "retry-after", "location" }
local OWN = {
    ["__Host-clusterpass-proxy"] = true,
    ["__Secure-clusterpass-proxy"] = true,
    ["clusterpass-proxy"] = true,
}
local UNAVAILABLE = '{"type":"about:blank","status":503,'
    .. '"title":"Nobody can tell now whether the session lives; try again."}\n'

local function question(txn)
    local sent, headers = txn.http:req_get_headers(), {}
    for _, name in ipairs(ABOUT) do
        local values = sent[name]
        if values then
            headers[name] = {}
            for index = 0, #values do
                headers[name][index] = values[index]
            end
        end
    end
    headers["x-original-method"] = { [0] = txn.sf:method() }
    headers["x-original-proto"] = { [0] = txn.f:ssl_fc() == 1 and "https" or "http" }
    headers["x-original-host"] = sent["host"]
    headers["x-original-uri"] = { [0] = txn.sf:pathq() }
    headers["x-forwarded-for"] = { [0] = txn.sf:src() }
    return headers
end

local function remove_own_cookie(http)
    local sent, kept = http:req_get_headers()["cookie"], {}
    if not sent then
        return
    end
    for index = 0, #sent do
        for pair in sent[index]:gmatch("[^;]+") do
            if not OWN[pair:match("^%s*([^=]-)%s*=")] then
                kept[#kept + 1] = pair
            end
        end
    end
    http:req_set_header("cookie", (table.concat(kept, ";"):gsub("^%s+", "")))
end

local function kept(headers)
    local found = {}
    for _, name in ipairs(KEPT) do
        found[name] = headers[name]
    end
    return found
end

local function respond(txn, status, headers, body)
    local reply = txn:reply({ status = status })
    for name, values in pairs(headers) do
        for _, value in pairs(values) do
            reply:add_header(name, value)
        end
    end
    reply:set_body(body)
    txn:done(reply)
end

local function unavailable(txn)
    respond(txn, 503, {
        ["content-type"] = { "application/problem+json" },
        ["cache-control"] = { "no-store" },
        ["retry-after"] = { "5" },
    }, UNAVAILABLE)
end

core.register_action("clusterpass", { "http-req" }, function(txn, url)
    local request = { url = url, headers = question(txn), timeout = TIMEOUT }
    local reached, answer = pcall(function() return core.httpclient():get(request) end)
    local status = reached and answer and answer.status or 0
    if status == 200 then
        for name, values in pairs(answer.headers) do
            if name:find("^x%-auth%-") or name:find("^remote%-") then
                txn.http:req_set_header(name, values[0])
            elseif name == "set-cookie" then
                txn:set_var("txn.clusterpass_set_cookie", values[0])
            end
        end
        remove_own_cookie(txn.http)
    elseif status == 302 or status == 401 or status == 403
        or (status == 503 and answer.headers["retry-after"]) then
        respond(txn, status, kept(answer.headers), answer.body or "")
    else
        unavailable(txn)
    end
end, 1)
