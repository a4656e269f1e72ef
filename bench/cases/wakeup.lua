-- A goroutine sends the time to another one every millisecond, 1,000 times or
-- for 2.5 s, beside 0, 2, 8 and 32 endless loops: how late that one goes on.

local go = require("goroutines")
local case = dofile((arg[0]:match("^.*/") or "") .. "../case.lua")

local n = case.times(1000)

local function hog()
  while true do end
end

local function sender(ch)
  local sent, stop = 0, go.now() + 2.5
  while sent < n and go.now() < stop do
    go.sleep(0.001)
    ch:send(go.now())
    sent = sent + 1
  end
  ch:close()
end

local function receiver(ch)
  local late = {}
  for sent in ch do
    late[#late + 1] = go.now() - sent
  end
  return late
end

local running = 0
for _, hogs in ipairs({ 0, 2, 8, 32 }) do
  while running < hogs do
    go(hog)
    running = running + 1
  end
  local ch = go.chan()
  go(sender, ch)
  local task = go.spawn(receiver, ch)
  local ok, late = task:join()
  assert(ok, late)
  case.report_late(("wakeup_%dhogs_"):format(hogs), late)
end
