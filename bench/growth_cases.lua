-- What growth.lua measures: functions by name, which print figures as lines
-- `name value unit` for a number of whatever grows.

local go = require("goroutines")
local figures = dofile((arg[0]:match("^.*/") or "") .. "figures.lua")(go.now)

local WAKEUPS, BATCH, ECHOES, BYTES = 200000, 1000, 200, 64

local cases = {}

local function nothing() end

local function serve(gate, ready, served)
  ready:done()
  for _ in gate do served:done() end
end

-- Starts n goroutines that wait in a receive on one channel.
local function start_waiters(n)
  local gate, ready, served = go.chan(), go.waitgroup(n), go.waitgroup()
  for _ = 1, n do go(serve, gate, ready, served) end
  ready:wait()
  go.sleep(0.05) -- the last ones are between done and the receive
  collectgarbage()
  return gate, served
end

local function report_spawn_join(name)
  figures.report_ns(name, figures.average_seconds(function()
    assert(go.spawn(nothing):join())
  end), 1)
end

function cases.waiters(n)
  local gate, served = start_waiters(n)
  local function wake_all()
    served:add(n)
    for i = 1, n do gate:send(i) end
    served:wait()
  end
  wake_all()
  local rounds = math.max(3, WAKEUPS // n)
  local seconds = figures.seconds(function()
    for _ = 1, rounds do wake_all() end
  end)
  figures.report_ns("waiters_wakeup", seconds, rounds * n)

  local other = go.chan(1)
  figures.report_ns("waiters_other_channel", figures.average_seconds(function()
    for i = 1, BATCH do
      other:send(i)
      other:recv()
    end
  end), BATCH)
end

-- Nobody holds the n timers, so that Lua's collector does not count in. Their
-- times are mixed: a new one belongs anywhere among them.
function cases.timers(n)
  local function set() return go.timer(3600 * (1 + math.random()), nothing) end
  for _ = 1, n do set() end
  collectgarbage()
  figures.report_ns("timers_set_stop", figures.average_seconds(function()
    for _ = 1, BATCH do set():stop() end
  end), BATCH)
end

function cases.goroutines(n)
  start_waiters(n)
  report_spawn_join("goroutines_spawn_join")
end

local function echo(conn, ready)
  ready:done()
  while true do
    local data = conn:read("s")
    if not data or not conn:write(data) then break end
  end
end

local function send_and_read(conn)
  local message = ("m"):rep(BYTES)
  for _ = 1, ECHOES do
    conn:write(message)
    conn:read(BYTES)
  end
end

function cases.connections(n)
  local listener = assert(go.net.listen("127.0.0.1", 0))
  local ready, idle = go.waitgroup(n + 1), {}
  go(function()
    for conn in listener do go(echo, conn, ready) end
  end)
  local function connect()
    return assert(go.net.connect("127.0.0.1", listener:port()))
  end
  for i = 1, n do idle[i] = connect() end
  local conn = connect()
  ready:wait()
  figures.report_ns("connections_echo", figures.average_seconds(function()
    assert(go.spawn(send_and_read, conn):join())
  end), ECHOES)
  for i = 1, n do idle[i]:close() end
end

local function ping(out, back)
  for i = 1, BATCH do
    out:send(i)
    back:recv()
  end
  out:close()
end

local function pong(out, back)
  for i in out do back:send(i) end
end

function cases.processors(n)
  go.procs(n)
  report_spawn_join("processors_spawn_join")
  figures.report_ns("processors_pingpong", figures.average_seconds(function()
    local out, back = go.chan(), go.chan()
    go(pong, out, back)
    assert(go.spawn(ping, out, back):join())
  end), BATCH)
end

return cases
