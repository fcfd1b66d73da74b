-- Sends requests of many users in turn; prints one line of figures at the end.
-- Arguments: file of access tokens, one a line; body of a POST, if any.
local requests, last = {}, 0

function init(args)
	local method = args[2] and "POST" or "GET"
	for token in io.lines(args[1]) do
		local headers = { Authorization = "Bearer " .. token, ["Content-Type"] = args[2] and "application/json" or nil }
		requests[#requests + 1] = wrk.format(method, nil, headers, args[2])
	end
end

function request()
	last = last % #requests + 1
	return requests[last]
end

function done(summary, latency)
	local e = summary.errors
	local errors = e.connect + e.read + e.write + e.status + e.timeout
	io.write(string.format("FIGURES %d %d %d %d %d\n", summary.requests, summary.duration, errors,
		latency:percentile(50), latency:percentile(99)))
end
