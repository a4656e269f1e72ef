-- Listeners, of TCP and of paths. Cases named P20 are Go's.

local go = require("goroutines")
local helper = require("spec.helper")
local sockets = require("spec.sockets")

local net = go.net

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

describe("a Unix socket", function()
  it("connects by a path, which goes with its listener", function()
    local path = sockets.path()
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
    local a, b <close> = sockets.pair("Unix")
    local _, _, code = a:set_nodelay(true)
    assert.equal("EOPNOTSUPP", code == "ENOTSUP" and "EOPNOTSUPP" or code)
    assert.is_true(b:close())
  end)
end)

describe("misuse of listen", function()
  it("is told", function()
    sockets.check_argument("#1 to 'listen' (string expected, got nil)", net.listen, nil, 1)
    sockets.check_argument("#2 to 'listen' (-1 is not from 0 to 65535)", net.listen, "", -1)
    sockets.check_argument("#3 to 'listen' (unknown option 'reuse')", net.listen, "", 1,
      { reuse = true })
    sockets.check_argument("#3 to 'listen' (option 'backlog': a number from 1 to 65535 "
      .. "expected)", net.listen, "", 1, { backlog = 0 })
    sockets.check_argument("#3 to 'listen' (option 'reuseport': boolean expected)", net.listen,
      "", 1, { reuseport = 1 })
    sockets.check_argument("#1 to 'listen_unix' (a path of 1 to 107 bytes expected)",
      net.listen_unix, "")
    sockets.check_argument("#1 to 'resolve' (string expected, got table)", net.resolve, {})
    local l <close> = net.listen("127.0.0.1", 0)
    sockets.check_argument("#1 to 'accept' (number expected, got string)", l.accept, l, "1")
    assert.matches("calling 'accept' on bad self", sockets.failure(l.accept, 1))
    assert.matches("too many arguments to 'port'", sockets.failure(l.port, l, 1))
  end)
end)
