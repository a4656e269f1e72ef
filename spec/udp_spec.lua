-- Datagrams.

local go = require("goroutines")
local helper = require("spec.helper")

describe("a datagram socket", function()
  it("sends and receives", function()
    local a <close> = assert(go.net.udp("127.0.0.1"))
    local b <close> = assert(go.net.udp("127.0.0.1", 0))
    assert.is_true(a:send("hello", "127.0.0.1", b:port()))
    assert.same({ "hello", "127.0.0.1", a:port() }, { b:receive() })
    assert.same({ "127.0.0.1", a:port() }, { a:address() })
    assert.matches("^udp: ", tostring(a))
  end)

  it("of all addresses speaks to those of IPv4", function()
    local a, b <close> = go.net.udp(), go.net.udp("127.0.0.1")
    assert.is_true(a:send("x", "localhost", b:port()))
    local data, host, port = b:receive()
    assert.same({ "x", "127.0.0.1", a:port() }, { data, host, port })
    b:send("y", host, port)
    assert.same({ "y", "127.0.0.1", b:port() }, { a:receive() })
  end)

  it("carries empty ones and large ones", function()
    local a, b <close> = go.net.udp("127.0.0.1"), go.net.udp("127.0.0.1")
    for _, data in ipairs({ "", ("x"):rep(60000) }) do
      a:send(data, "127.0.0.1", b:port())
      assert.equal(data, (b:receive()))
    end
    local _, message, code = a:send(("x"):rep(70000), "127.0.0.1", b:port())
    assert.same({ "message too long", "EMSGSIZE" }, { message, code })
  end)

  it("times out and gives no address then (P21)", function()
    local a <close> = go.net.udp("127.0.0.1")
    assert.same({ n = 2, nil, "timeout" }, table.pack(a:receive(0)))
    local start = go.now()
    assert.same({ n = 2, nil, "timeout" }, table.pack(a:receive(0.02)))
    assert.is_true(go.now() - start >= 0.02)
  end)

  it("is shared by many", function()
    local a, b = go.net.udp("127.0.0.1"), go.net.udp("127.0.0.1")
    local got, tasks = go.chan(100), {}
    for i = 1, 4 do
      tasks[i] = go.spawn(function()
        while true do
          local data = b:receive()
          if not data then
            return
          end
          got:send(tonumber(data))
        end
      end)
    end
    local sum = 0
    for i = 1, 100 do
      a:send(tostring(i), "127.0.0.1", b:port())
      sum = sum + got:recv()
    end
    assert.equal(5050, sum)
    b:close()
    for _, task in ipairs(tasks) do
      assert.same({ true }, { task:join() })
    end
  end)

  it("ends all who wait when closed", function()
    local a = go.net.udp("127.0.0.1")
    local task = helper.blocked(function() return a:receive() end)
    assert.is_true(a:close())
    assert.same({ true, nil, "closed" }, { task:join() })
    assert.same({ nil, "closed" }, { a:close() })
    assert.same({ nil, "closed" }, { a:send("x", "127.0.0.1", 1) })
    assert.same({ nil, "closed" }, { a:receive() })
    assert.same({ nil, "closed" }, { a:port() })
    assert.same({ nil, "closed" }, { a:address() })
    assert.matches("closed", tostring(a))
  end)

  it("tells misuse", function()
    local a <close> = go.net.udp("127.0.0.1")
    local function check(message, f, ...)
      local ok, err = pcall(f, ...)
      assert.is_false(ok)
      assert.equal("bad argument " .. message, err)
    end
    check("#1 to 'udp' (string expected, got number)", go.net.udp, 1)
    check("#2 to 'udp' (-1 is not from 0 to 65535)", go.net.udp, "", -1)
    check("#1 to 'send' (string expected, got no value)", a.send, a)
    check("#2 to 'send' (string expected, got nil)", a.send, a, "x", nil)
    check("#3 to 'send' (number expected, got string)", a.send, a, "x", "h", "p")
    check("#1 to 'receive' (number expected, got string)", a.receive, a, "x")
  end)
end)
