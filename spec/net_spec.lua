-- TCP and Unix sockets: connecting, listening, reading, writing, time limits,
-- closing. Cases named P20 and P21 are Go's, from its net and nettest packages.

local go = require("goroutines")
local helper = require("spec.helper")

-- Two ends of a connection, of TCP or over a path.
local function pair(path)
  local l = assert(path and go.net.listen_unix(path)
    or go.net.listen("127.0.0.1", 0))
  local dialled = assert(path and go.net.connect_unix(path)
    or go.net.connect("127.0.0.1", l:port()))
  local accepted = assert(l:accept(5))
  l:close()
  return dialled, accepted
end

local function socket_path()
  local path = os.tmpname()
  os.remove(path)
  return path
end

-- A server that answers each connection by `serve(conn)` in a goroutine.
local function server(serve)
  local l = assert(go.net.listen("127.0.0.1", 0))
  go(function()
    for conn in l do
      go(function()
        serve(conn)
        conn:close()
      end)
    end
  end)
  return l
end

local function echo(conn)
  while true do
    local data = conn:read("s")
    if not data or not conn:write(data) then
      return
    end
  end
end

-- The message of the error that f(...) raises.
local function failure(f, ...)
  local ok, err = pcall(f, ...)
  assert.is_false(ok)
  return err
end

describe("a listener", function()
  it("picks a port for 0 and tells its address", function()
    local l <close> = go.net.listen("127.0.0.1", 0)
    local host, port = l:address()
    assert.equal("127.0.0.1", host)
    assert.equal(l:port(), port)
    assert.is_true(port > 0)
    assert.matches("^listener: ", tostring(l))
  end)

  it("polls and times out", function()
    local l <close> = go.net.listen("127.0.0.1", 0)
    assert.same({ nil, "timeout" }, { l:accept(0) })
    local start = go.now()
    assert.same({ nil, "timeout" }, { l:accept(0.02) })
    assert.is_true(go.now() - start >= 0.02)
  end)

  it("gives what waits already when polled", function()
    local l <close> = go.net.listen("127.0.0.1", 0)
    local dialled <close> = go.net.connect("127.0.0.1", l:port())
    local accepted <close> = l:accept(0)
    assert.equal(select(2, dialled:address()), select(2, accepted:peer()))
    assert.equal(select(2, dialled:peer()), select(2, accepted:address()))
  end)

  it("ends all who wait, and its loop, when closed", function()
    local l = go.net.listen("127.0.0.1", 0)
    local tasks = {}
    for i = 1, 10 do
      tasks[i] = helper.blocked(function() return l:accept() end)
    end
    local loop = helper.blocked(function()
      for _ in l do error("a connection from nowhere") end
      return "left"
    end)
    assert.is_true(l:close())
    for _, task in ipairs(tasks) do
      assert.same({ true, nil, "closed" }, { task:join() })
    end
    assert.same({ true, "left" }, { loop:join() })
    assert.same({ nil, "closed" }, { l:accept() })
    assert.same({ nil, "closed" }, { l:port() })
    assert.same({ nil, "closed" }, { l:address() })
    assert.same({ nil, "closed" }, { l:close() })
  end)

  it("frees its port when closed (P20)", function()
    local l = go.net.listen("127.0.0.1", 0)
    local port = l:port()
    l:close()
    assert.same({ nil, "connection refused", "ECONNREFUSED" },
      { go.net.connect("127.0.0.1", port) })
    local again <close> = assert(go.net.listen("127.0.0.1", port))
    assert.equal(port, again:port())
  end)

  it("says that an address is in use", function()
    local l <close> = go.net.listen("127.0.0.1", 0)
    assert.same({ nil, "address already in use", "EADDRINUSE" },
      { go.net.listen("127.0.0.1", l:port()) })
  end)

  it("shares its port with others that ask for it", function()
    local l <close> = go.net.listen("127.0.0.1", 0, { reuseport = true })
    local m <close> = assert(
      go.net.listen("127.0.0.1", l:port(), { reuseport = true, backlog = 5 }))
    assert.equal(l:port(), m:port())
  end)

  it("takes any of its addresses for *", function()
    local l <close> = assert(go.net.listen("*", 0))
    local dialled <close> = assert(go.net.connect("127.0.0.1", l:port()))
    local accepted <close> = l:accept()
    assert.equal("127.0.0.1", (accepted:peer()))
    assert.equal("127.0.0.1", (dialled:peer()))
  end)

  it("is shared by ten who accept", function()
    for _, procs in ipairs({ 1, 2, 4 }) do
      local _ <close> = helper.procs(procs)
      local l = go.net.listen("127.0.0.1", 0)
      local got, tasks = go.chan(100), {}
      for i = 1, 10 do
        tasks[i] = go.spawn(function()
          for conn in l do
            got:send(conn:read("a"))
            conn:close()
          end
        end)
      end
      local sum = 0
      for i = 1, 100 do
        local conn <close> = go.net.connect("127.0.0.1", l:port())
        conn:write(i)
      end
      for _ = 1, 100 do
        sum = sum + got:recv()
      end
      assert.equal(5050, sum)
      l:close()
      for _, task in ipairs(tasks) do
        assert.is_true(task:join())
      end
    end
  end)
end)

describe("a connection", function()
  it("is named, shown and compared", function()
    local a, b <close> = pair()
    assert.matches("^connection: ", tostring(a))
    assert.not_equal(a, b)
    a:close()
    assert.matches("%(closed%)$", tostring(a))
  end)

  it("reads by io's formats", function()
    local a, b <close> = pair()
    assert.equal(a, a:write("one\n", "two\n", 3, " 0x10 -2.5e1,rest", "\n\nx"))
    a:shutdown()
    assert.same({ "one", "two\n", 3, 16, -25.0 }, { b:read("l", "L", "n", "n", "n") })
    assert.same({ ",", "", "rest" }, { b:read(1, 0, "*l") })
    assert.equal("", b:read())
    assert.same({ "x" }, { b:read(5) })
    assert.same({ "" }, { b:read("a") })
    assert.is_nil(b:read(0))
    assert.is_nil(b:read("l"))
    assert.is_nil(b:read("s"))
    assert.is_nil(b:read("n"))
    assert.is_nil(b:read(1))
  end)

  it("stops at the first format that fails", function()
    local a, b <close> = pair()
    a:write("12 apples")
    a:shutdown()
    local results = table.pack(b:read("n", "n", "l"))
    assert.same({ 12, nil, n = 2 }, results)
    assert.equal("apples", b:read("a"))
  end)

  it("gives what is there", function()
    local a, b <close> = pair()
    a:write("abc")
    assert.equal("abc", b:read("s"))
    local task = helper.blocked(function() return b:read("s") end)
    a:write("d")
    assert.same({ true, "d" }, { task:join() })
  end)

  it("reads long lines and many bytes", function()
    local a, b <close> = pair()
    local line = ("0123456789"):rep(100000)
    go(function()
      a:write(line, "\n", line, "\n")
      a:shutdown()
    end)
    assert.is_true(line == b:read("l"))
    assert.is_true(line == b:read(#line))
    assert.equal("\n", b:read("a"))
  end)

  it("iterates over lines", function()
    local a, b <close> = pair()
    a:write("1\n2\n\n4")
    a:shutdown()
    local lines = {}
    for line in b:lines() do
      lines[#lines + 1] = line
    end
    assert.same({ "1", "2", "", "4" }, lines)
    for _ in b:lines("L") do error("nothing is left") end
  end)

  it("iterates by formats", function()
    local a, b <close> = pair()
    a:write("1 a\n2 b\n")
    a:shutdown()
    local list = {}
    for n, rest in b:lines("n", "l") do
      list[#list + 1] = { n, rest }
    end
    assert.same({ { 1, " a" }, { 2, " b" } }, list)
  end)

  it("raises in lines what is no end", function()
    local a, b <close> = pair()
    b:set_timeout(0)
    assert.equal("timeout", failure(b:lines()))
    b:close()
    assert.is_nil(b:lines()())
    assert.is_true(a:close())
  end)

  it("writes many parts at once", function()
    local a, b <close> = pair()
    local parts = {}
    for i = 1, 200 do
      parts[i] = i .. ","
    end
    a:write(table.unpack(parts))
    a:write()
    a:write("")
    a:shutdown()
    assert.equal(table.concat(parts), b:read("a"))
  end)

  it("closes one way: the other side sees the end (P20)", function()
    local a, b <close> = pair()
    assert.is_true(a:shutdown())
    assert.is_nil(b:read("s"))
    assert.same({ nil, "broken pipe", "EPIPE" }, { a:write("x") })
    b:write("back")
    b:close()
    assert.equal("back", a:read("a"))
  end)

  it("is closed for both sides of a program (P20)", function()
    local a, b <close> = pair()
    assert.is_true(a:close())
    for _, call in ipairs({ "read", "write", "shutdown", "close", "peer",
                            "address" }) do
      assert.same({ nil, "closed" }, { a[call](a) })
    end
    assert.same({ nil, "closed" }, { a:read("a") })
    assert.same({ nil, "closed" }, { a:write("x") })
    assert.same({ nil, "closed" }, { a:set_nodelay(true) })
    assert.same({ nil, "closed" }, { a:set_keepalive(1) })
    assert.is_nil(b:read())
  end)

  it("wakes who waits when it is closed", function()
    local a, b <close> = pair()
    local reader = helper.blocked(function() return a:read("a") end)
    a:close()
    assert.same({ true, nil, "closed" }, { reader:join() })
    assert.is_nil(b:read())
  end)

  it("wakes who writes when it is closed", function()
    local a, b <close> = pair()
    local writer = helper.blocked(function()
      return a:write(("x"):rep(64 * 1024 * 1024))
    end)
    a:close()
    assert.same({ true, nil, "closed" }, { writer:join() })
    b:close()
  end)

  it("wakes a reader when the other side closes (P20)", function()
    local a, b = pair()
    local reader = helper.blocked(function() return a:read("s") end)
    b:close()
    assert.same({ true }, { reader:join() })
  end)

  it("reads nothing at once (P20)", function()
    local a, b <close> = pair()
    b:write("x")
    assert.equal("", a:read(0))
    assert.equal("x", a:read(1))
  end)

  it("tells a reset from an end (P20)", function()
    local a, b = pair()
    a:write(("x"):rep(100000))
    b:read(1)
    b:close() -- with bytes unread, which resets the connection
    assert.same({ nil, "connection reset by peer", "ECONNRESET" }, { a:read() })
  end)

  it("survives broken pipes (P20)", function()
    for _ = 1, 20 do
      local a, b = pair()
      b:close()
      local result, _, code
      repeat
        result, _, code = a:write("x")
      until not result
      assert.is_true(code == "EPIPE" or code == "ECONNRESET")
    end
  end)

  it("is one reader's and one writer's at a time", function()
    local a, b <close> = pair()
    local reader = helper.blocked(function() return a:read() end)
    assert.equal("bad call of 'read' (another goroutine is in it: one reader "
      .. "and one writer at a time)", failure(a.read, a))
    assert.matches("'lines'", failure(a:lines()))
    b:write("x\n")
    assert.same({ true, "x" }, { reader:join() })
    local writer = helper.blocked(function()
      return a:write(("x"):rep(32 * 1024 * 1024)) == a
    end)
    assert.matches("'write'", failure(a.write, a, "y"))
    assert.equal(32 * 1024 * 1024, #b:read(32 * 1024 * 1024))
    assert.same({ true, true }, { writer:join() })
  end)

  it("may be sent to another goroutine", function()
    local a, b <close> = pair()
    local ch = go.chan(1)
    go(function()
      local conn <close> = ch:recv()
      conn:write(conn:read())
    end)
    ch:send(a)
    b:write("over there\n")
    assert.equal("over there", b:read("a"))
  end)

  it("is closed when nobody has it any more", function()
    local a, b <close> = pair() -- luacheck: ignore a
    local closed = go.spawn(function() return b:read() end)
    a = nil -- luacheck: ignore
    helper.wait_until(function()
      collectgarbage()
      return closed:status() == "done"
    end)
    assert.same({ true }, { closed:join() })
  end)

  it("is closed at the end of its block", function()
    local a, b <close> = pair()
    do
      local c <close> = b -- luacheck: ignore
    end
    assert.is_nil(a:read())
    assert.same({ nil, "closed" }, { b:read() })
  end)

  it("has options", function()
    local l <close> = go.net.listen("127.0.0.1", 0)
    local conn <close> = assert(go.net.connect("127.0.0.1", l:port(),
      { timeout = 5, nodelay = false, keepalive = 30 }))
    assert.is_true(conn:set_nodelay(true))
    assert.is_true(conn:set_keepalive(10))
    assert.is_true(conn:set_keepalive(nil))
  end)
end)

describe("a time limit", function()
  it("ends a read, which is repeated with success (P21)", function()
    local a, b <close> = pair()
    a:set_timeout(0.02)
    for _ = 1, 3 do
      local start = go.now()
      assert.same({ nil, "timeout" }, { a:read() })
      assert.is_true(go.now() - start >= 0.02)
    end
    b:write("x\n")
    assert.equal("x", a:read())
  end)

  it("keeps what was read before", function()
    local a, b <close> = pair()
    a:set_read_timeout(0.01)
    b:write("1 2 hal")
    assert.equal("1", a:read(1))
    assert.same({ nil, "timeout" }, { a:read("n", "l") })
    assert.same({ nil, "timeout" }, { a:read(100) })
    assert.same({ nil, "timeout" }, { a:read("a") })
    b:write("f\n")
    assert.same({ 2, " half" }, { a:read("n", "l") })
  end)

  it("of 0 polls, and gives what is there", function()
    local a, b <close> = pair()
    b:write("x\ny\n")
    assert.equal("x", a:read())
    a:set_timeout(0)
    assert.equal("y", a:read())
    assert.same({ nil, "timeout" }, { a:read() })
    a:set_timeout(-1)
    assert.same({ nil, "timeout" }, { a:read() })
  end)

  it("ends a write", function()
    local a, b <close> = pair()
    a:set_write_timeout(0.02)
    assert.same({ nil, "timeout" }, { a:write(("x"):rep(64 * 1024 * 1024)) })
    assert.is_true(b:close())
  end)

  it("holds for a wait that has begun (P21)", function()
    local a, b <close> = pair()
    local reader = helper.blocked(function() return a:read() end)
    a:set_timeout(0.02)
    assert.same({ true, nil, "timeout" }, { reader:join() })
    a:set_timeout(nil)
    reader = helper.blocked(function() return a:read() end)
    a:set_read_timeout(0)
    assert.same({ true, nil, "timeout" }, { reader:join() })
    assert.is_true(b:close())
  end)

  it("that is taken away does not end a wait (P21)", function()
    local a, b <close> = pair()
    a:set_timeout(0.05)
    local reader = helper.blocked(function() return a:read() end)
    a:set_timeout(nil)
    go.sleep(0.1)
    assert.equal("waiting", reader:status())
    b:write("late\n")
    assert.same({ true, "late" }, { reader:join() })
  end)

  it("is kept to within bounds (P21)", function()
    local a, b <close> = pair()
    local limit = 0.001
    while limit < 0.3 do
      a:set_timeout(limit)
      local best = math.huge
      for _ = 1, 5 do -- the machine may be busy now and then
        local start = go.now()
        assert.same({ nil, "timeout" }, { a:read() })
        local took = go.now() - start
        assert.is_true(took >= limit)
        best = math.min(best, took)
      end
      assert.is_true(best < helper.within(limit * 1.5 + 0.02))
      limit = limit * 3
    end
    assert.is_true(b:close())
  end)

  it("may be changed while others read and write (P21)", function()
    local a, b <close> = pair()
    go(echo, b)
    local setter = go.spawn(function()
      for i = 1, 2000 do
        a:set_timeout(i % 3 == 0 and 0.001 or nil)
        if i % 50 == 0 then
          go.yield()
        end
      end
      a:set_timeout(nil)
    end)
    local sent, got = 0, 0
    repeat
      sent = sent + (a:write("x") and 1 or 0)
      got = got + #(a:read("s") or "")
    until setter:status() == "done"
    while got < sent do
      got = got + #a:read("s")
    end
    assert.equal(sent, got)
    assert.is_true(setter:join())
  end)

  it("ends a connection that nobody accepts", function()
    local path = socket_path()
    local l <close> = go.net.listen_unix(path, { backlog = 1 })
    local conns, err = {}, nil
    for i = 1, 10 do
      conns[i], err = go.net.connect_unix(path, { timeout = 0.02 })
      if err then
        break
      end
    end
    assert.equal("timeout", err)
    local waiting = helper.blocked(function()
      return go.net.connect_unix(path):close()
    end)
    while waiting:status() ~= "done" do -- makes room
      local conn = l:accept(0.01)
      if conn then
        conn:close()
      end
    end
    assert.same({ true, true }, { waiting:join() })
    for _, conn in ipairs(conns) do
      conn:close()
    end
  end)
end)

describe("a Unix socket", function()
  it("connects by a path, which goes with its listener", function()
    local path = socket_path()
    local l = assert(go.net.listen_unix(path))
    assert.equal(path, l:address())
    assert.is_nil(l:port())
    local a <close> = assert(go.net.connect_unix(path))
    local b <close> = l:accept()
    assert.equal(path, a:peer())
    assert.equal("", a:address())
    a:write("x\n")
    assert.equal("x", b:read())
    assert.is_not_nil(io.open(path) or os.rename(path, path))
    l:close()
    assert.is_nil((os.rename(path, path)))
    assert.same({ nil, "no such file or directory", "ENOENT" },
      { go.net.connect_unix(path) })
  end)

  it("is no place for settings of TCP", function()
    local a, b <close> = pair(socket_path())
    local _, _, code = a:set_nodelay(true)
    assert.equal("EOPNOTSUPP", code == "ENOTSUP" and "EOPNOTSUPP" or code)
    assert.is_true(b:close())
  end)
end)

describe("names", function()
  it("are resolved", function()
    local found = {}
    for _, address in ipairs(assert(go.net.resolve("localhost"))) do
      found[address] = true
    end
    assert.is_true(found["127.0.0.1"] or found["::1"])
    assert.same({ "10.1.2.3" }, go.net.resolve("10.1.2.3"))
    assert.same({ "::1" }, go.net.resolve("::1"))
  end)

  it("that are unknown are told", function()
    local _, message, code = go.net.resolve("no-such-host.invalid")
    assert.is_string(message)
    assert.matches("^EAI_", code)
    _, message, code = go.net.connect("no-such-host.invalid", 1)
    assert.is_string(message)
    assert.matches("^EAI_", code)
  end)

  it("are connected to, address by address", function()
    local l <close> = go.net.listen("127.0.0.1", 0)
    local conn <close> = assert(go.net.connect("localhost", l:port()))
    assert.equal("127.0.0.1", (conn:peer()))
  end)

  it("are resolved for many at once", function()
    local tasks = {}
    for i = 1, 50 do
      tasks[i] = go.spawn(function() return #go.net.resolve("localhost") > 0 end)
    end
    for _, task in ipairs(tasks) do
      assert.same({ true, true }, { task:join() })
    end
  end)
end)

describe("a server", function()
  it("echoes for many at once (P20)", function()
    helper.each_procs({ 1, 2, 4 }, function()
      local l <close> = server(echo)
      local port, tasks = l:port(), {}
      for i = 1, 2 do
        tasks[i] = go.spawn(function()
          local conn <close> = go.net.connect("127.0.0.1", port)
          local message = ("m"):rep(512)
          for _ = 1, 1000 do
            conn:write(message)
            assert(conn:read(512) == message)
          end
        end)
      end
      for _, task in ipairs(tasks) do
        assert.same({ true }, { task:join() })
      end
    end)
  end)

  it("serves many connections", function()
    local l <close> = server(echo)
    local port, conns = l:port(), {}
    for i = 1, 200 do
      conns[i] = assert(go.net.connect("127.0.0.1", port))
    end
    for round = 1, 3 do
      for i, conn in ipairs(conns) do
        conn:write(i * round, "\n")
      end
      for i, conn in ipairs(conns) do
        assert.equal(tostring(i * round), conn:read())
      end
    end
    for _, conn in ipairs(conns) do
      conn:close()
    end
  end)

  it("carries a megabyte and more both ways (P21)", function()
    local a, b = pair()
    local bytes = {}
    for i = 1, 4096 do
      bytes[i] = string.char(i * 7 % 256):rep(1024)
    end
    local text = table.concat(bytes)
    go(function()
      echo(b)
      b:close()
    end)
    local writer = go.spawn(function()
      a:write(text)
      a:shutdown()
    end)
    assert.is_true(a:read("a") == text)
    assert.same({ true }, { writer:join() })
  end)

  it("is used by hundreds of goroutines at once (P21)", function()
    local a, b = pair()
    local tasks = {}
    for i = 1, 200 do
      tasks[i] = go.spawn(function()
        for _ = 1, 20 do
          local conn = i % 2 == 0 and a or b
          pcall(conn.read, conn, "s")
          pcall(conn.write, conn, "x")
          conn:set_timeout(0.001)
          conn:peer()
          tostring(conn)
        end
      end)
    end
    for _, task in ipairs(tasks) do
      assert.same({ true }, { task:join() })
    end
    a:close()
    b:close()
  end)

  it("closes while all are at it (P21)", function()
    for i = 1, 50 do
      local a, b = pair()
      local tasks = {
        go.spawn(function() repeat until not a:read("s") end),
        go.spawn(function() repeat until not a:write("x") end),
        go.spawn(function() repeat until not b:read("s") end),
        go.spawn(function() repeat until not b:write("x") end),
      }
      for _ = 1, i % 5 do
        go.yield()
      end
      a:close()
      b:close()
      for _, task in ipairs(tasks) do
        assert.same({ true }, { task:join() })
      end
    end
  end)

  it("answers beside goroutines that compute", function()
    helper.each_procs({ 1, 2 }, function(procs)
      local stop, tasks = go.chan(), {}
      local l <close> = server(echo)
      local conn <close> = go.net.connect("127.0.0.1", l:port())
      for i = 1, procs do
        tasks[i] = go.spawn(function()
          while not stop:is_closed() do end
        end)
      end
      local start = go.now()
      for _ = 1, 20 do
        conn:write("ping\n")
        assert.equal("ping", conn:read())
      end
      assert.is_true(go.now() - start < helper.within(2))
      stop:close()
      for _, task in ipairs(tasks) do
        task:join()
      end
    end)
  end)

  it("goes on when there are fewer processors", function()
    local _ <close> = helper.procs(4)
    local l <close> = server(echo)
    local conns = {}
    for i = 1, 40 do
      conns[i] = go.net.connect("127.0.0.1", l:port())
      conns[i]:write("a\n")
    end
    for _, conn in ipairs(conns) do
      assert.equal("a", conn:read())
    end
    go.procs(1)
    for _, conn in ipairs(conns) do
      conn:write("b\n")
    end
    for _, conn in ipairs(conns) do
      assert.equal("b", conn:read())
      conn:close()
    end
  end)
end)

describe("a deadlock", function()
  it("is none while a goroutine waits for a connection", function()
    assert.equal("late\n", helper.output([[
      local go = require("goroutines")
      local l = go.net.listen("127.0.0.1", 0)
      go(function()
        local conn = l:accept()
        os.execute("sleep 0.2")
        conn:write("late")
        conn:close()
      end)
      local conn = go.net.connect("127.0.0.1", l:port())
      print(conn:read("a"))
    ]]))
  end)

  it("is one beside a connection that nobody waits for", function()
    local result = helper.lua([[
      local go = require("goroutines")
      local l = go.net.listen("127.0.0.1", 0)
      local conn = go.net.connect("127.0.0.1", l:port())
      go.chan():recv()
    ]])
    assert.matches("all goroutines are asleep", result.stderr)
  end)

  it("is shown with what goroutines wait for", function()
    local result = helper.lua([[
      local go = require("goroutines")
      local l = go.net.listen("127.0.0.1", 0)
      local task = go.spawn(function() l:accept() end)
      while task:status() ~= "waiting" do go.yield() end
      io.stderr:write(task:traceback())
    ]])
    assert.matches("accept", result.stderr)
  end)
end)

describe("the end of the process", function()
  it("does not wait for those who wait for connections", function()
    local result = helper.lua([[
      local go = require("goroutines")
      local l = go.net.listen("127.0.0.1", 0)
      for _ = 1, 10 do go(function() l:accept() end) end
      go.sleep(0.01)
      print("bye")
    ]])
    assert.same({ "bye\n", 0 }, { result.stdout, result.code })
    assert.is_true(result.seconds < helper.within(2))
  end)

  it("comes to a waiting main by Ctrl-C", function()
    local result = helper.lua({ [[
      local go = require("goroutines")
      local l = go.net.listen("127.0.0.1", 0)
      os.execute("(sleep 0.2; kill -INT $PPID) &")
      l:accept()
    ]] })
    assert.matches("interrupted!", result.stderr)
  end)
end)

describe("misuse", function()
  local net = go.net

  local function check(message, f, ...)
    assert.equal("bad argument " .. message, failure(f, ...))
  end

  it("of connect is told", function()
    check("#1 to 'connect' (string expected, got nil)", net.connect, nil, 1)
    check("#1 to 'connect' (a string with a zero byte in it)", net.connect,
      "a\0b", 1)
    check("#2 to 'connect' (number expected, got string)", net.connect, "", "x")
    check("#2 to 'connect' (65536 is not from 0 to 65535)", net.connect, "",
      65536)
    check("#3 to 'connect' (table expected, got number)", net.connect, "", 1, 1)
    check("#3 to 'connect' (unknown option 'time')", net.connect, "", 1,
      { time = 1 })
    check("#3 to 'connect' (option 'timeout': number expected)", net.connect,
      "", 1, { timeout = "1" })
    check("#3 to 'connect' (option 'nodelay': boolean expected)", net.connect,
      "", 1, { nodelay = 1 })
    check("#3 to 'connect' (option 'keepalive': at most 32767 seconds "
      .. "expected)", net.connect, "", 1, { keepalive = 1e9 })
    check("#1 to 'connect_unix' (a path of 1 to 107 bytes expected)",
      net.connect_unix, ("x"):rep(200))
    check("#2 to 'connect_unix' (unknown option 'x')", net.connect_unix, "p",
      { x = 1 })
  end)

  it("of listen is told", function()
    check("#1 to 'listen' (string expected, got nil)", net.listen, nil, 1)
    check("#2 to 'listen' (-1 is not from 0 to 65535)", net.listen, "", -1)
    check("#3 to 'listen' (unknown option 'reuse')", net.listen, "", 1,
      { reuse = true })
    check("#3 to 'listen' (option 'backlog': a number from 1 to 65535 "
      .. "expected)", net.listen, "", 1, { backlog = 0 })
    check("#3 to 'listen' (option 'reuseport': boolean expected)", net.listen,
      "", 1, { reuseport = 1 })
    check("#1 to 'listen_unix' (a path of 1 to 107 bytes expected)",
      net.listen_unix, "")
    check("#1 to 'resolve' (string expected, got table)", net.resolve, {})
    local l <close> = net.listen("127.0.0.1", 0)
    check("#1 to 'accept' (number expected, got string)", l.accept, l, "1")
    assert.matches("calling 'accept' on bad self", failure(l.accept, 1))
    assert.matches("too many arguments to 'port'", failure(l.port, l, 1))
  end)

  it("of a connection is told", function()
    local a, b <close> = pair()
    check("#1 to 'read' (invalid format)", a.read, a, "x")
    check("#2 to 'read' (format expected, got table)", a.read, a, "l", {})
    check("#1 to 'read' (-1 is not from 0 to 2305843009213693951)", a.read, a,
      -1)
    check("#1 to 'lines' (invalid format)", a.lines, a, "q")
    check("#2 to 'write' (string expected, got nil)", a.write, a, "x", nil)
    check("#1 to 'set_timeout' (number expected, got string)", a.set_timeout,
      a, "1")
    check("#1 to 'set_timeout' (a time that is not a number (NaN))",
      a.set_timeout, a, 0 / 0)
    check("#1 to 'set_nodelay' (boolean expected, got number)", a.set_nodelay,
      a, 1)
    check("#1 to 'set_keepalive' (at most 32767 seconds expected)",
      a.set_keepalive, a, 1e6)
    assert.matches("calling 'read' on bad self %(goroutines.connection "
      .. "expected, got table%)", failure(a.read, {}))
    assert.is_true(b:close())
  end)
end)
