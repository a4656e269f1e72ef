-- Starts a thousand goroutines that compute, wait, sleep, hold locks and sit in
-- C, and ends in the middle of that. HOW in the environment is how.

local go = require("goroutines")
local how = os.getenv("HOW")

go.configure({ time_slice = 0.0001 })
local ch, full, mutex = go.chan(), go.chan(1), go.mutex()
local ready, gate = go.chan(1000), go.chan()
full:send(1)

local kinds = {
  function() while true do end end,
  function() ch:recv() end,
  function() full:send(2) end,
  function() go.sleep(3600) end,
  function() while true do go.sleep(0.0001) end end,
  function() mutex:lock() while true do go.yield() end end,
  function() while true do mutex:with(go.yield) end end,
  function() go.select(ch, full:sending(1), go.after(3600)) end,
  function() for _ in go.ticker(0.0001) do end end,
  function() while true do go.spawn(function() end):join() end end,
  function() while true do local _ = { {}, ("x"):rep(100) } end end,
  function()
    local handler = function() print("a handler of a goroutine ran") end
    local _ <close> = setmetatable({}, { __close = handler, __gc = handler })
    ch:recv()
  end,
  function()
    coroutine.wrap(function() table.sort({ 2, 1 }, function() ch:recv() end) end)()
  end,
}

for i = 1, 960 do
  go(function(kind)
    ready:send(true)
    gate:recv()
    kind()
  end, kinds[i % #kinds + 1])
end
-- Fewer of what takes a thread each.
for i = 1, 40 do
  go(function()
    local fixture = require("fixture")
    ready:send(true)
    gate:recv()
    if i % 4 == 0 then
      fixture.locked(function() ch:recv() end)
    elseif i % 4 == 1 then
      while true do fixture.nanosleep(0.0001) end
    elseif i == 2 then
      fixture.nanosleep(3600)
    else
      go.blocking(fixture.nanosleep, 0.001)
    end
  end)
end
for _ = 1, 1000 do
  ready:recv()
end
gate:close()
_G.signals = { go.signal("TERM"), go.signal("HUP") }
go.sleep(0.002)

-- Main's own handlers run first; what has been printed is not lost.
_G.kept = setmetatable({}, { __gc = function() print("collected") end })
local _ <close> = setmetatable({}, { __close = function() print("closed") end })
io.stdout:setvbuf("full", 65536)
for _ = 1, 1000 do
  io.write("line\n")
end
io.stderr:write(("ended at %.6f\n"):format(go.now()))
if how == "return" then
  return
elseif how == "error" then
  error("main failed")
elseif how == "exit" then
  os.exit(3)
elseif how == "exit_close" then
  os.exit(4, true)
elseif how == "goroutine_exit" then
  go(function() os.exit(5) end)
  ch:recv()
end
