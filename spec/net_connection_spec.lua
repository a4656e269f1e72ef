-- Connections: reading, writing, closing; of TCP and of Unix sockets alike. Cases
-- named P20 are Go's, from its net package.

local go = require("goroutines")
local helper = require("spec.helper")
local sockets = require("spec.sockets")

sockets.each_kind(function(kind, pair)
  describe("a connection of " .. kind, function()
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

    it("reads no more of a numeral than io does", function()
      local a, b <close> = pair()
      local digits = ("1"):rep(250)
      a:write(digits)
      a:shutdown()
      local file = io.tmpfile()
      file:write(digits)
      file:seek("set")
      assert.is_nil(file:read("n"))
      assert.is_nil(b:read("n"))
      assert.equal(file:read("a"), b:read("a"))
      file:close()
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

    it("reads the same in a goroutine, with a limit of memory or without", function()
      local function read_all(conn)
        local got = {}
        for length = 0, 1200, 7 do
          got[#got + 1] = conn:read("l")
          got[#got + 1] = conn:read(length)
          got[#got + 1] = conn:read(({ "L", "*L" })[length % 2 + 1])
        end
        got[#got + 1] = conn:read("a")
        got[#got + 1] = tostring(conn:read("s") or conn:read(1))
        return table.concat(got, "|")
      end
      local sent, expected = {}, {}
      for length = 0, 1200, 7 do
        local text = ("x"):rep(length)
        table.move({ text, "\n", text, text, "\n" }, 1, 5, #sent + 1, sent)
        table.move({ text, text, text .. "\n" }, 1, 3, #expected + 1, expected)
      end
      expected = table.concat(expected, "|") .. "||nil"
      for _, options in ipairs({ {}, { memory_limit = 1 << 24 } }) do
        local a, b = pair()
        go(function() a:write(table.concat(sent)) a:shutdown() end)
        local ok, got = go.spawn(options, read_all, b):join()
        assert.is_true(ok and got == expected)
        b:close()
      end
    end)

    it("loses nothing when there is no memory for what was read", function()
      local a, b <close> = pair()
      local line = ("0123456789"):rep(100000)
      go(function() a:write("first\nsecond\n", line, "\nlast\n") end)
      local ok, first, failed, why = go.spawn({ memory_limit = 300000 }, function()
        local first = b:read("l")
        return first, pcall(b.read, b, "l", "l")
      end):join()
      assert.same({ true, "first", false, "not enough memory" }, { ok, first, failed, why })
      assert.equal("second", b:read("l"))
      assert.is_true(line == b:read("l"))
      assert.equal("last", b:read("l"))
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
      assert.equal("timeout", sockets.failure(b:lines()))
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

    it("waits to write to one that has shut down and does not read", function()
      local a, b <close> = pair()
      b:shutdown()
      assert.is_nil(a:read())
      a:set_write_timeout(0.02)
      assert.same({ nil, "timeout" }, { a:write(("x"):rep(64 * 1024 * 1024)) })
      a:set_write_timeout(nil)
      local writer = helper.blocked(function() return a:write("x") end)
      b:set_read_timeout(0)
      repeat until not b:read("s") -- makes room
      assert.is_true((writer:join()))
      a:close()
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
        .. "and one writer at a time)", sockets.failure(a.read, a))
      assert.matches("'lines'", sockets.failure(a:lines()))
      b:write("x\n")
      assert.same({ true, "x" }, { reader:join() })
      local writer = helper.blocked(function()
        return a:write(("x"):rep(32 * 1024 * 1024)) == a
      end)
      assert.matches("'write'", sockets.failure(a.write, a, "y"))
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
  end)
end)

describe("a connection of TCP", function()
  it("has options", function()
    local l <close> = go.net.listen("127.0.0.1", 0)
    local conn <close> = assert(go.net.connect("127.0.0.1", l:port(),
      { timeout = 5, nodelay = false, keepalive = 30 }))
    assert.is_true(conn:set_nodelay(true))
    assert.is_true(conn:set_keepalive(10))
    assert.is_true(conn:set_keepalive(nil))
  end)
end)

describe("misuse of a connection", function()
  it("is told", function()
    local a, b <close> = sockets.pair()
    sockets.check_argument("#1 to 'read' (invalid format)", a.read, a, "x")
    sockets.check_argument("#2 to 'read' (format expected, got table)", a.read, a, "l", {})
    sockets.check_argument("#1 to 'read' (-1 is not from 0 to 2305843009213693951)", a.read, a,
      -1)
    sockets.check_argument("#1 to 'lines' (invalid format)", a.lines, a, "q")
    sockets.check_argument("#2 to 'write' (string expected, got nil)", a.write, a, "x", nil)
    sockets.check_argument("#1 to 'set_timeout' (number expected, got string)", a.set_timeout,
      a, "1")
    sockets.check_argument("#1 to 'set_timeout' (a time that is not a number (NaN))",
      a.set_timeout, a, 0 / 0)
    sockets.check_argument("#1 to 'set_nodelay' (boolean expected, got number)", a.set_nodelay,
      a, 1)
    sockets.check_argument("#1 to 'set_keepalive' (at most 32767 seconds expected)",
      a.set_keepalive, a, 1e6)
    assert.matches("calling 'read' on bad self %(goroutines.connection "
      .. "expected, got table%)", sockets.failure(a.read, {}))
    assert.is_true(b:close())
  end)
end)
