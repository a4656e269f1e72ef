-- Servers and many connections; deadlocks and the end of the process beside them.
-- Cases named P20 and P21 are Go's, from its net and nettest packages.

local go = require("goroutines")
local helper = require("spec.helper")
local sockets = require("spec.sockets")

describe("a server", function()
  it("echoes for many at once (P20)", function()
    helper.each_procs({ 1, 2, 4 }, function()
      local l <close> = sockets.server(sockets.echo)
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
    local l <close> = sockets.server(sockets.echo)
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
    local a, b = sockets.pair()
    local bytes = {}
    for i = 1, 4096 do
      bytes[i] = string.char(i * 7 % 256):rep(1024)
    end
    local text = table.concat(bytes)
    go(function()
      sockets.echo(b)
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
    local a, b = sockets.pair()
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
      local a, b = sockets.pair()
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
      local l <close> = sockets.server(sockets.echo)
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
    local l <close> = sockets.server(sockets.echo)
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
