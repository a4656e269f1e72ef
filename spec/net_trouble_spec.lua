-- What befalls one connection befalls no other: slow readers, resets, peers that
-- have stopped, no descriptors left; and many connections at once.

local go = require("goroutines")
local helper = require("spec.helper")
local sockets = require("spec.sockets")

-- A connection to an echo server, which others then trouble: `check` says
-- whether it still answers.
local function checked(l)
  local conn = assert(go.net.connect("127.0.0.1", l:port()))
  local count = 0
  return function()
    count = count + 1
    conn:write(count, "\n")
    return conn:read() == tostring(count)
  end, conn
end

local function check_often(check)
  for _ = 1, 20 do
    assert.is_true(check())
  end
end

-- A script in an interpreter with a limit of open files.
local function with_descriptors(count, text)
  local script = helper.script(text)
  local r = assert(go.process.run({ "sh", "-c", ("ulimit -n %d; exec %s %s"):format(
    count, helper.command, script), timeout = helper.within(20) }))
  os.remove(script)
  assert.equal("", r.stderr)
  return r.stdout
end

-- On one processor the server goes on before the one who connects does. Linux
-- calls that a broken pipe. A server short of memory for closed connections
-- does it.
it("a connection that is closed and reset before connect returns is reset", function()
  local output = helper.output({ [[
    local go = require("goroutines")
    local ports = go.chan()
    go(function()
      local server = assert(require("socket").bind("127.0.0.1", 0))
      ports:send((select(2, server:getsockname())))
      go.yield() -- main connects, and waits
      local conn = assert(server:accept())
      conn:shutdown("send")
      conn:setoption("linger", { on = true, timeout = 0 })
      conn:close()
    end)
    local port = tonumber((ports:recv()))
    local conn, _, code = go.net.connect("127.0.0.1", port)
    print(conn, code)
  ]], env = { GOROUTINES_PROCS = 1 } })
  assert.equal("nil\tECONNRESET\n", output)
end)

describe("a server", function()
  local l, check, conn

  before_each(function()
    l = sockets.server(sockets.echo)
    check, conn = checked(l)
    assert.is_true(check())
  end)

  after_each(function()
    conn:close()
    l:close()
  end)

  it("answers beside those who do not read", function()
    local slow, writers = {}, {}
    for i = 1, 10 do
      slow[i] = assert(go.net.connect("127.0.0.1", l:port()))
      slow[i]:set_write_timeout(0.05)
      writers[i] = go.spawn(function() -- until all buffers are full
        return slow[i]:write(("x"):rep(32 * 1024 * 1024))
      end)
    end
    check_often(check)
    for i, writer in ipairs(writers) do
      assert.same({ true, nil, "timeout" }, { writer:join() })
      assert.equal("x", slow[i]:read(1))
    end
    check_often(check)
    for i = 1, 10 do
      slow[i]:close()
    end
  end)

  it("answers beside those who reset", function()
    for _ = 1, 100 do
      local other = assert(go.net.connect("127.0.0.1", l:port()))
      other:write("not read")
      other:read(1)
      other:close() -- with bytes unread
      assert.is_true(check())
    end
  end)

  it("answers beside those who have half closed, or vanish", function()
    local half = {}
    for i = 1, 20 do
      half[i] = assert(go.net.connect("127.0.0.1", l:port()))
      half[i]:write(("x"):rep(1024))
      if i % 2 == 0 then
        half[i]:shutdown()
      end
    end
    check_often(check)
    for i = 2, 20, 2 do
      assert.equal(1024, #half[i]:read("a"))
    end
    for i = 1, 20 do
      half[i]:close()
    end
    check_often(check)
  end)

  it("gets rid of peers that have stopped by a time limit", function()
    local ended = go.chan(1)
    local limited = sockets.server(function(c)
      c:set_timeout(0.05)
      ended:send(select(2, c:read()))
    end)
    local script = helper.script(([[
      local go = require("goroutines")
      local conn = go.net.connect("127.0.0.1", %d)
      print("connected")
      go.stdin:read()
      print(conn:read())
    ]]):format(limited:port()))
    local p = go.process.spawn({ "sh", "-c", "exec " .. helper.command .. " "
      .. script, stdin = "pipe", stdout = "pipe" })
    assert.equal("connected", p.stdout:read())
    p:kill("STOP")
    check_often(check)
    assert.equal("timeout", ended:recv())
    p:kill("CONT")
    p.stdin:write("go on\n")
    assert.equal("nil", p.stdout:read())
    assert.equal(0, p:wait())
    limited:close()
    os.remove(script)
  end)
end)

describe("a process without descriptors", function()
  it("keeps its connections, and accepts again when there are some", function()
    assert.equal("EMFILE\tEMFILE\tEMFILE\tEMFILE\nstill\nagain\n", with_descriptors(80, [[
      local go = require("goroutines")
      local l = assert(go.net.listen("127.0.0.1", 0))
      local a = assert(go.net.connect("127.0.0.1", l:port()))
      local b = assert(l:accept())
      local waiting = assert(go.net.connect("127.0.0.1", l:port()))
      local files, why, code = {}, nil, nil
      repeat
        local file
        file, why, code = go.fs.open("/dev/null")
        files[#files + 1] = file
      until not file
      local function code_of(_, _, c) return c end
      print(code, code_of(l:accept()), code_of(go.net.connect("127.0.0.1", l:port())),
        code_of(go.process.spawn({ "true", stdin = "pipe" })))
      local task = go.spawn(function() return b:read() end)
      a:write("still\n")
      print(select(2, task:join()))
      local accepting = go.spawn(function() -- as a server does
        while true do
          local conn, _, c = l:accept()
          if conn then return conn end
          assert(c == "EMFILE")
          go.sleep(0.001)
        end
      end)
      go.sleep(0.01)
      files[1]:close()
      local _, conn = accepting:join()
      waiting:write("again\n")
      print(conn:read())
    ]]))
  end)

  it("waits on any processor, which takes no descriptor", function()
    assert.equal("8 are answered, one is left\n", with_descriptors(150, [[
      local go = require("goroutines")
      go.procs(8)
      local l = assert(go.net.listen("127.0.0.1", 0))
      local conns = {}
      for i = 1, 8 do
        local a = assert(go.net.connect("127.0.0.1", l:port()))
        conns[i] = { a, assert(l:accept()) }
      end
      assert(conns[1][2]:set_timeout(0) == nil and not conns[1][2]:read())
      conns[1][2]:set_timeout(nil)
      local files, file = {}, nil
      repeat
        file = go.fs.open("/dev/null")
        files[#files + 1] = file
      until not file
      files[1]:close() -- and nobody takes that
      local ready, tasks = go.atomic(0), {}
      for i = 1, 8 do
        tasks[i] = go.spawn(function(conn)
          ready:add(1)
          while ready:load() < 8 do end -- each on a processor of its own
          return assert(conn:read())
        end, conns[i][2])
      end
      while ready:load() < 8 do go.sleep(0.001) end
      go.sleep(0.01)
      local count = 0
      for i = 1, 8 do
        conns[i][1]:write(i, "\n")
        count = count + (select(2, tasks[i]:join()) == tostring(i) and 1 or 0)
      end
      assert(go.fs.open("/dev/null"))
      print(count .. " are answered, one is left")
    ]]))
  end)
end)

describe("many connections", function()
  it("are open at once, 500 of them", function()
    assert.matches("^500 connections at once, [%d.]+ KB each\n$", helper.output({
      args = "spec/soak/connections.lua 500 " .. helper.command }))
  end)
end)

describe("one connection", function()
  it("carries 20 MB, every byte of them, in little memory", function()
    -- More where a tool keeps what has been freed.
    assert.matches("^20 MB carried", helper.output({
      args = "spec/soak/carry.lua 20 " .. helper.within(8), limit = 20 }))
  end)
end)
