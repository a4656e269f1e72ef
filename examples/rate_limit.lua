-- A rate limiter: a bucket of tokens, which a ticker fills. A burst passes at
-- once as long as there are tokens; from then on requests go at the ticker's pace.
--
--   lua5.4 examples/rate_limit.lua

local go = require("goroutines")

local PERIOD, BURST, REQUESTS = 0.01, 3, 8

local function fill(bucket, ticker)
  for _ in ticker do
    go.select(bucket:sending(true), go.default) -- when full, it is lost
  end
end

local bucket, ticker = go.chan(BURST), go.ticker(PERIOD)
for _ = 1, BURST do bucket:send(true) end

local start, finished = go.now(), 0
do
  local filler = go.spawn(fill, bucket, ticker)
  local _ <close> = setmetatable({}, { __close = function()
    filler:cancel()
    ticker:stop()
  end })
  for i = 1, REQUESTS do
    bucket:recv()
    finished = go.now() - start
    print("request " .. i)
  end
end
local least = (REQUESTS - BURST - 1) * PERIOD
print(finished >= least and "not too fast" or "too fast")
