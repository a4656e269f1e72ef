-- Cancellation of goroutines that wait for something outside, and deadlines
-- around such waits.

local go = require("goroutines")
local helper = require("spec.helper")

-- Cancels a goroutine that waits in f(...), and checks what it gets.
local function check_cancelled(f, ...)
  local task = helper.blocked(f, ...)
  assert.is_true(task:cancel())
  local ok, err = task:join()
  assert.is_false(ok)
  assert.is_true(go.is_cancelled(err))
  assert.equal("cancelled", task:status())
end

local function pair()
  local l <close> = go.net.listen("127.0.0.1", 0)
  return go.net.connect("127.0.0.1", l:port()), l:accept()
end

describe("a cancelled goroutine", function()
  it("leaves a read, and what was there is left for others", function()
    local a, b <close> = pair()
    b:write("half")
    check_cancelled(function() return a:read("l") end)
    b:write(" line\n")
    assert.equal("half line", a:read("l"))
  end)

  it("leaves a write", function()
    local a, b <close> = pair()
    check_cancelled(function() return a:write(("x"):rep(64 * 1024 * 1024)) end)
    assert.is_true(a:close())
    assert.is_true(#b:read("a") > 0)
  end)

  it("leaves an accept, which goes on for others", function()
    local l <close> = go.net.listen("127.0.0.1", 0)
    local other = helper.blocked(function() return l:accept():read("a") end)
    check_cancelled(function() return l:accept() end)
    local conn = go.net.connect("127.0.0.1", l:port())
    conn:write("x")
    conn:close()
    assert.same({ true, "x" }, { other:join() })
  end)

  it("leaves a datagram, a process and a foreign descriptor", function()
    local udp <close> = go.net.udp("127.0.0.1")
    check_cancelled(function() return udp:receive() end)
    local p = go.process.spawn({ "cat", stdin = "pipe" })
    check_cancelled(function() return p:wait() end)
    p.stdin:close()
    assert.equal(0, p:wait())
  end)

  it("kills what it runs (P23)", function()
    local path = os.tmpname()
    check_cancelled(function()
      return go.process.run({ "sh", "-c", "echo $$ >" .. path .. "; sleep 60" })
    end)
    helper.wait_until(function()
      local pid = go.fs.read_file(path):match("%d+")
      return pid == nil or not go.fs.stat("/proc/" .. pid)
    end)
    os.remove(path)
  end)

  it("gets it before a wait that could complete at once", function()
    local a, b <close> = pair()
    b:write("x")
    local task = helper.blocked(function()
      local caught = {}
      pcall(go.sleep, 60)
      for _, f in ipairs({
        function() return a:read(1) end,
        function() return a:write("x") end,
        function() return go.fs.stat("/") end,
        function() return go.net.resolve("127.0.0.1") end,
        function() return go.process.spawn({ "true" }) end,
      }) do
        local ok, err = pcall(f)
        caught[#caught + 1] = not ok and go.is_cancelled(err)
      end
      return table.unpack(caught)
    end)
    task:cancel()
    assert.same({ true, true, true, true, true, true }, { task:join() })
    assert.equal("x", a:read(1))
  end)

  it("may still write and close in its handlers", function()
    local a, b <close> = pair()
    check_cancelled(function()
      local _ <close> = setmetatable({}, { __close = function()
        a:write("goodbye\n")
        a:read(1)
        go.process.spawn({ "true" }):wait()
        go.fs.stat("/")
        a:close()
      end })
      go.timer(0.01, function() b:write("x") end)
      a:read("a")
    end)
    assert.equal("goodbye", b:read())
  end)
end)

describe("a deadline", function()
  it("around a dialogue ends it, and the connection goes on", function()
    local a, b <close> = pair()
    assert.same({ nil, "timeout" }, {
      go.with_timeout(0.02, function() return a:read("l") end) })
    assert.same({ nil, "timeout" }, {
      go.with_timeout(0.02, function()
        while true do
          a:write(("x"):rep(100000))
        end
      end) })
    b:write("later\n")
    assert.same({ true, "later" }, {
      go.with_timeout(5, function() return a:read() end) })
  end)

  it("around a process ends the waiting for it", function()
    assert.same({ nil, "timeout" }, {
      go.with_timeout(0.05, go.process.run, { "sleep", "60" }) })
  end)
end)

describe("many goroutines", function()
  -- Readers and writers of a few connections, each cancelled at some moment.
  local function live(seed)
    local random = seed
    local function below(n)
      random = (random * 1103515245 + 12345) & 0x7fffffff
      return random // 65536 % n
    end
    local l = go.net.listen("127.0.0.1", 0)
    local conns, tasks = {}, {}
    for i = 1, 8, 2 do
      conns[i] = go.net.connect("127.0.0.1", l:port())
      conns[i + 1] = l:accept()
    end
    for i = 1, 40 do
      local conn, limit = conns[below(8) + 1], (below(20) + 1) / 2000
      tasks[i] = go.spawn(function()
        local calls = {
          function() return conn:read("s") end,
          function() return conn:write(("x"):rep(100000)) end,
          function() return l:accept() end,
          function() return go.with_timeout(limit, conn.read, conn, 10) end,
        }
        while true do
          pcall(calls[i % 4 + 1]) -- raises while another one is in it
          go.sleep(0.0001) -- raises once it is cancelled
        end
      end)
    end
    for _ = 1, 200 do
      local task = tasks[below(40) + 1]
      if below(4) == 0 then
        task:cancel()
      else
        conns[below(8) + 1]:set_timeout(below(3) / 1000)
      end
      if below(8) == 0 then
        go.sleep(0.0005)
      end
      if below(40) == 0 then
        conns[below(8) + 1]:close()
      end
    end
    for _, task in ipairs(tasks) do
      task:cancel()
    end
    for _, task in ipairs(tasks) do
      assert.is_false((task:join()))
    end
    for _, conn in ipairs(conns) do
      conn:close()
    end
    l:close()
  end

  it("are cancelled while they read, write, accept and close", function()
    helper.each_procs({ 1, 2, 8 }, function()
      for seed = 1, helper.times(5) do
        live(seed)
      end
    end)
  end)
end)
