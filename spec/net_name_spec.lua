-- Names and what connects to them.

local go = require("goroutines")
local sockets = require("spec.sockets")

local net = go.net

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

describe("misuse of connect", function()
  it("is told", function()
    sockets.check_argument("#1 to 'connect' (string expected, got nil)", net.connect, nil, 1)
    sockets.check_argument("#1 to 'connect' (a string with a zero byte in it)", net.connect,
      "a\0b", 1)
    sockets.check_argument("#2 to 'connect' (number expected, got string)", net.connect, "", "x")
    sockets.check_argument("#2 to 'connect' (65536 is not from 0 to 65535)", net.connect, "",
      65536)
    sockets.check_argument("#3 to 'connect' (table expected, got number)", net.connect, "", 1, 1)
    sockets.check_argument("#3 to 'connect' (unknown option 'time')", net.connect, "", 1,
      { time = 1 })
    sockets.check_argument("#3 to 'connect' (option 'timeout': number expected)", net.connect,
      "", 1, { timeout = "1" })
    sockets.check_argument("#3 to 'connect' (option 'nodelay': boolean expected)", net.connect,
      "", 1, { nodelay = 1 })
    sockets.check_argument("#3 to 'connect' (option 'keepalive': at most 32767 seconds "
      .. "expected)", net.connect, "", 1, { keepalive = 1e9 })
    sockets.check_argument("#1 to 'connect_unix' (a path of 1 to 107 bytes expected)",
      net.connect_unix, ("x"):rep(200))
    sockets.check_argument("#2 to 'connect_unix' (unknown option 'x')", net.connect_unix, "p",
      { x = 1 })
  end)
end)
