-- Waiting for descriptors of other libraries. LuaSocket stands for them; it is
-- loaded in processes of their own.

local go = require("goroutines")
local helper = require("spec.helper")

local function run(text)
  return helper.output([[
    local go = require("goroutines")
    local socket = require("socket")
    local server = assert(socket.bind("127.0.0.1", 0))
    local _, port = server:getsockname()
    local client = assert(socket.connect("127.0.0.1", port))
    local peer = server:accept()
    client:settimeout(0)
    peer:settimeout(0)
  ]] .. text)
end

describe("wait_fd", function()
  it("waits until there is something to read", function()
    assert.equal("true\tping\n", run([[
      local waiter = go.spawn(go.wait_fd, client:getfd(), "r")
      while waiter:status() ~= "waiting" do go.yield() end
      peer:send("ping\n")
      print(select(2, waiter:join()), (client:receive()))
    ]]))
  end)

  it("is ready at once for what is there", function()
    assert.equal("true\ntrue\ntrue\ttrue\n", run([[
      peer:send("x")
      print(go.wait_fd(client:getfd(), "r", 5))
      print(go.wait_fd(client:getfd(), "w", 0.5))
      print(go.wait_fd(client:getfd(), "r", 0), go.wait_fd(client:getfd(), "w", -1))
    ]]))
  end)

  it("times out", function()
    assert.equal("nil\ttimeout\nnil\ttimeout\n", run([[
      print(go.wait_fd(client:getfd(), "r", 0.01))
      print(go.wait_fd(client:getfd(), "r", 0))
    ]]))
  end)

  it("waits for one descriptor in many goroutines", function()
    assert.equal("10\n", run([[
      local tasks, ready = {}, 0
      for i = 1, 10 do
        tasks[i] = go.spawn(go.wait_fd, client:getfd(), "r")
        while tasks[i]:status() ~= "waiting" do go.yield() end
      end
      peer:send("x")
      for _, task in ipairs(tasks) do
        local _, ok = task:join()
        ready = ready + (ok and 1 or 0)
      end
      print(ready)
    ]]))
  end)

  it("is woken by the end of the stream", function()
    assert.equal("true\tclosed\n", run([[
      local waiter = go.spawn(go.wait_fd, client:getfd(), "r")
      while waiter:status() ~= "waiting" do go.yield() end
      peer:close()
      print(select(2, waiter:join()), (select(2, client:receive(1))))
    ]]))
  end)

  it("bears that the descriptor is closed meanwhile", function()
    assert.equal("nil\ttimeout\n", run([[
      local waiter = go.spawn(go.wait_fd, client:getfd(), "r", 0.05)
      while waiter:status() ~= "waiting" do go.yield() end
      client:close()
      print(select(2, waiter:join()))
    ]]))
  end)

  it("lets LuaSocket serve in goroutines", function()
    assert.equal("1275\n", run([[
      local function receive_line(conn)
        local line, rest, err = nil, ""
        repeat
          line, err, rest = conn:receive("*l", rest)
          if not line then assert(err == "timeout", err) end
          if not line then assert(go.wait_fd(conn:getfd(), "r")) end
        until line
        return line
      end
      local watcher = go.spawn(function(fd)
        for _ = 1, 50 do assert(go.wait_fd(fd, "w")) end
      end, peer:getfd())
      local sum = 0
      for i = 1, 50 do
        peer:send(i .. "\n")
        sum = sum + receive_line(client)
      end
      assert(watcher:join())
      print(sum)
    ]]))
  end)

  it("finds regular files ready", function()
    assert.equal("true\ntrue\n", helper.output([[
      local go = require("goroutines")
      print(go.wait_fd(0, "r", 1))
      print(go.wait_fd(1, "w", 1))
    ]]))
  end)

  it("says what is wrong with a descriptor", function()
    assert.same({ nil, "bad file descriptor", "EBADF" },
      { go.wait_fd(987654, "r") })
  end)

  it("tells misuse", function()
    local function check(message, ...)
      local ok, err = pcall(go.wait_fd, ...)
      assert.is_false(ok)
      assert.equal("bad argument " .. message, err)
    end
    check("#1 to 'wait_fd' (number expected, got string)", "1", "r")
    check("#1 to 'wait_fd' (-1 is not from 0 to 2147483647)", -1, "r")
    check("#2 to 'wait_fd' (\"r\" or \"w\" expected)", 0, "rw")
    check("#2 to 'wait_fd' (\"r\" or \"w\" expected)", 0)
    check("#3 to 'wait_fd' (number expected, got string)", 0, "r", "1")
  end)
end)
