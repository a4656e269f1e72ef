-- Child processes: starting them, their streams, their end.

local go = require("goroutines")
local helper = require("spec.helper")

local spawn, run = go.process.spawn, go.process.run

local function failure(f, ...)
  local ok, err = pcall(f, ...)
  assert.is_false(ok)
  return err
end

describe("a process", function()
  it("ends with a code", function()
    local p = spawn({ "sh", "-c", "exit 7" })
    assert.is_true(math.type(p.pid) == "integer" and p.pid > 1)
    assert.equal("process: " .. p.pid, tostring(p))
    assert.equal(7, p:wait())
    assert.equal(7, p:wait(0))
    assert.is_nil(p.stdin)
    assert.is_nil(p.stdout)
    assert.is_nil(p.stderr)
  end)

  it("ends by a signal", function()
    local p = spawn({ "sh", "-c", "kill -USR1 $$; sleep 5" })
    assert.same({ nil, "USR1" }, { p:wait() })
    p = spawn({ "sleep", "60" })
    assert.is_true(p:kill())
    assert.same({ nil, "TERM" }, { p:wait() })
    p = spawn({ "sleep", "60" })
    assert.is_true(p:kill("KILL"))
    assert.same({ nil, "KILL" }, { p:wait() })
    assert.same({ nil, "no such process", "ESRCH" }, { p:kill() })
  end)

  it("is waited for, for a time, and by many", function()
    local p = spawn({ "cat", stdin = "pipe", stdout = "null" })
    assert.same({ nil, "timeout" }, { p:wait(0) })
    local start = go.now()
    assert.same({ nil, "timeout" }, { p:wait(0.02) })
    assert.is_true(go.now() - start >= 0.02)
    local tasks = {}
    for i = 1, 10 do
      tasks[i] = helper.blocked(function() return p:wait() end)
    end
    p.stdin:close()
    for _, task in ipairs(tasks) do
      assert.same({ true, 0 }, { task:join() })
    end
  end)

  it("has pipes", function()
    local p = spawn({ "sh", "-c", "read x; echo out $x; echo err $x >&2",
                      stdin = "pipe", stdout = "pipe", stderr = "pipe" })
    assert.equal(p.stdin, p.stdin)
    p.stdin:write("word\n")
    assert.equal("out word", p.stdout:read())
    assert.equal("err word\n", p.stderr:read("a"))
    assert.is_nil(p.stdout:read())
    assert.equal(0, p:wait())
  end)

  it("gets its input as fast as it reads", function()
    local p = spawn({ "cat", stdin = "pipe", stdout = "pipe" })
    local writer = helper.blocked(function(stdin)
      stdin:write(("x"):rep(1000000))
      return stdin:shutdown()
    end, p.stdin)
    assert.equal(1000000, #p.stdout:read("a"))
    assert.same({ true, true }, { writer:join() })
    assert.equal(0, p:wait())
  end)

  it("that does not read is a broken pipe", function()
    local p = spawn({ "true", stdin = "pipe" })
    p:wait()
    assert.same({ nil, "broken pipe", "EPIPE" }, { p.stdin:write("x") })
  end)

  it("reads nothing from null, and writes there", function()
    local p = spawn({ "sh", "-c", "cat; echo lost; echo lost >&2",
                      stdin = "null", stdout = "null", stderr = "null" })
    assert.equal(0, p:wait())
  end)

  it("inherits what it is not given", function()
    assert.equal("from a child\n", helper.output([[
      local go = require("goroutines")
      go.process.spawn({ "echo", "from a child" }):wait()
    ]]))
  end)

  it("takes streams", function()
    local first = spawn({ "echo", "through a pipe", stdout = "pipe" })
    local second = spawn({ "tr", "a-z", "A-Z", stdin = first.stdout,
                           stdout = "pipe" })
    assert.equal("THROUGH A PIPE\n", second.stdout:read("a"))
    local l <close> = go.net.listen("127.0.0.1", 0)
    local dialled <close> = go.net.connect("127.0.0.1", l:port())
    local conn = l:accept()
    local p = spawn({ "sh", "-c", "read x; echo served $x", stdin = conn,
                      stdout = conn })
    conn:close()
    dialled:write("me\n")
    assert.equal("served me\n", dialled:read("a"))
    assert.equal(0, p:wait())
  end)

  it("has a directory and an environment of its own", function()
    local r = run({ "sh", "-c", "pwd; echo $A; env | wc -l", cwd = "/",
                    env = { A = "b c", PATH = os.getenv("PATH"), N = 1 } })
    assert.matches("^/\nb c\n", r.stdout)
    assert.is_true(tonumber(r.stdout:match("(%d+)%s*$")) <= 6)
  end)

  it("has the program's priority, whatever that of the runtime's threads is", function()
    local own = io.popen("nice"):read("n")
    for _ = 1, 5 do
      assert.equal(own, tonumber(run({ "nice" }).stdout))
    end
  end)

  it("inherits no descriptors", function()
    local l <close> = go.net.listen("127.0.0.1", 0)
    local conn <close> = go.net.connect("127.0.0.1", l:port())
    local p = spawn({ "cat", stdin = "pipe", stdout = "pipe" })
    local r = run({ "sh", "-c", "ls -l /proc/$$/fd" })
    assert.is_nil(r.stdout:match("socket:") or r.stdout:match("anon_inode"))
    assert.is_true(conn:close())
    p.stdin:close()
    assert.equal(0, p:wait())
  end)

  -- The line of /proc/self/status in a child of a program that begins with
  -- SIGUSR2 blocked and SIGHUP ignored, or with neither.
  local function signals_of_child(key, ...)
    local script = helper.script(([[
      local go = require("goroutines")
      local options = { "grep", %q, "/proc/self/status" }
      local task = go.spawn(go.process.run, options)
      io.write(select(2, task:join()).stdout, go.process.run(options).stdout)
      io.flush()
      os.execute("exec grep " .. %q .. " /proc/self/status")
    ]]):format(key, key))
    local words = { ... }
    table.move({ "sh", "-c", "exec " .. helper.command .. " " .. script }, 1, 3,
      #words + 1, words)
    local r = run(words)
    os.remove(script)
    assert.equal("", r.stderr)
    return r.stdout
  end

  it("has the signals blocked and ignored that its parent began with", function()
    assert.equal(("SigBlk:\t0000000000000000\n"):rep(3),
      signals_of_child("SigBlk"))
    assert.equal(("SigBlk:\t0000000000000800\n"):rep(3),
      signals_of_child("SigBlk", "env", "--block-signal=USR2"))
    assert.matches("^" .. ("SigIgn:\t%x*[13579bdf]\n"):rep(3) .. "$",
      signals_of_child("SigIgn", "env", "--ignore-signal=HUP"))
  end)

  it("is found by its own environment's PATH", function()
    local dir = assert(go.fs.mkdtemp("/tmp/goroutines_XXXXXX"))
    local path = dir .. "/of_its_own"
    assert(go.fs.write_file(path, "#!/bin/sh\necho $0\n"))
    local env = { PATH = "/no/such:" .. dir .. ":/bin" }
    assert.equal("EACCES", select(3, run({ "of_its_own", env = env })))
    os.execute("chmod +x " .. path)
    assert.equal(path .. "\n", run({ "of_its_own", env = env }).stdout)
    assert.equal("ENOENT", select(3, run({ "of_its_own" })))
    assert.equal("x\n", run({ "echo", "x", env = {} }).stdout)
    assert.equal("ENOENT", select(3, run({ "" })))
    os.execute("rm -r " .. dir)
  end)

  it("that cannot be started is told", function()
    assert.same({ nil, "no such file or directory", "ENOENT" },
      { spawn({ "/no/such/program" }) })
    assert.same({ nil, "no such file or directory", "ENOENT" },
      { spawn({ "true", cwd = "/no/such/directory" }) })
    assert.same({ nil, "permission denied", "EACCES" },
      { spawn({ "/etc/passwd" }) })
  end)

  it("may be many, from many goroutines", function()
    helper.each_procs({ 1, 4 }, function()
      local tasks = {}
      for i = 1, 20 do
        tasks[i] = go.spawn(function()
          return go.process.spawn({ "sh", "-c", "exit " .. i }):wait()
        end)
      end
      for i, task in ipairs(tasks) do
        assert.same({ true, i }, { task:join() })
      end
    end)
  end)

  it("is sent to other goroutines", function()
    local p = spawn({ "echo", "x", stdout = "pipe" })
    local task = go.spawn(function() return p.stdout:read(), p:wait(), p end)
    local _, line, code, same = task:join()
    assert.same({ "x", 0 }, { line, code })
    assert.equal(p, same)
  end)

  it("is no deadlock while somebody waits for it", function()
    assert.equal("0\n", helper.output([[
      local go = require("goroutines")
      print(go.process.spawn({ "sleep", "0.2" }):wait())
    ]]))
  end)

  it("does not keep the program from ending", function()
    local result = helper.lua([[
      local go = require("goroutines")
      go.process.spawn({ "sleep", "2", stdout = "null", stderr = "null" })
      go(function() go.process.spawn({ "sleep", "2", stdout = "null",
        stderr = "null" }):wait() end)
      go.sleep(0.05)
    ]])
    assert.equal(0, result.code)
    assert.is_true(result.seconds < helper.within(1.5))
  end)

  it("leaves os.execute and io.popen as they are", function()
    local p = spawn({ "sleep", "0.05" })
    local _, kind, code = os.execute("exit 3")
    assert.same({ "exit", 3 }, { kind, code })
    local pipe = io.popen("echo popen")
    assert.equal("popen\n", pipe:read("a"))
    assert.is_true(pipe:close())
    assert.equal(0, p:wait())
  end)
end)

describe("run", function()
  it("gives what became of a command", function()
    local r = run({ "sh", "-c", "echo out; echo err >&2; exit 2" })
    assert.same({ stdout = "out\n", stderr = "err\n", code = 2 }, r)
    r = run({ "sh", "-c", "kill -9 $$" })
    assert.same({ stdout = "", stderr = "", signal = "KILL" }, r)
  end)

  it("feeds input while output comes", function()
    local input = ("line\n"):rep(200000)
    local r = run({ "cat", stdin = input, timeout = 60 })
    assert.is_true(r.stdout == input)
    assert.equal(0, r.code)
    assert.equal("", run({ "cat" }).stdout)
  end)

  it("bears commands that do not read their input", function()
    assert.equal(0, run({ "true", stdin = ("x"):rep(1000000) }).code)
  end)

  it("kills what takes too long", function()
    local start = go.now()
    assert.same({ nil, "timeout" }, { run({ "sleep", "60", timeout = 0.05 }) })
    assert.same({ nil, "timeout" },
      { run({ "cat", stdin = "x", stdout = "null", timeout = 0,
              "/dev/zero" }) })
    assert.is_true(go.now() - start < helper.within(5))
  end)

  it("sends output elsewhere", function()
    local r = run({ "sh", "-c", "echo out; echo err >&2", stderr = "null" })
    assert.same({ stdout = "out\n", code = 0 }, r)
  end)

  it("says what cannot be started", function()
    assert.same({ nil, "no such file or directory", "ENOENT" },
      { run({ "/no/such/program" }) })
  end)

  it("leaves its options alone", function()
    local options = { "cat", stdin = "x", timeout = 5 }
    run(options)
    assert.same({ "cat", stdin = "x", timeout = 5 }, options)
  end)
end)

describe("misuse of processes", function()
  local function check(message, f, ...)
    assert.equal("bad argument " .. message, failure(f, ...))
  end

  it("is told", function()
    check("#1 to 'spawn' (table expected, got string)", spawn, "ls")
    check("#1 to 'spawn' (the name of a program expected at [1])", spawn, {})
    check("#1 to 'spawn' (string without zeros expected at [2])", spawn,
      { "ls", true })
    check("#1 to 'spawn' (string without zeros expected at [2])", spawn,
      { "ls", "a\0" })
    check("#1 to 'spawn' (unknown option 'dir')", spawn, { "ls", dir = "/" })
    check("#1 to 'spawn' (unknown option '?')", spawn, { "ls", [0] = "x" })
    check("#1 to 'spawn' (unknown option '?')", spawn, { "ls", [1.5] = "x" })
    check("#1 to 'run' (option 'timeout': not a number (NaN))", run,
      { "ls", timeout = 0 / 0 })
    check("#1 to 'spawn' (option 'cwd': string without zeros expected)", spawn,
      { "ls", cwd = 1 })
    check("#1 to 'spawn' (option 'env': table expected)", spawn,
      { "ls", env = "A=b" })
    check("#1 to 'spawn' (option 'env': names and values expected, strings "
      .. "without zeros)", spawn, { "ls", env = { "A=b" } })
    check("#1 to 'spawn' (option 'stdout': \"inherit\", \"null\", \"pipe\" or a "
      .. "stream expected)", spawn, { "ls", stdout = "file" })
    check("#1 to 'spawn' (unknown option 'timeout')", spawn,
      { "ls", timeout = 1 })
    check("#1 to 'run' (unknown option 'dir')", run, { "ls", dir = "/" })
    check("#1 to 'run' (option 'timeout': number expected)", run,
      { "ls", timeout = "1" })
    check("#1 to 'run' (option 'stdin': string expected)", run,
      { "ls", stdin = 1 })
    local p = spawn({ "true" })
    check("#1 to 'kill' (no signal 'TERMINATE')", p.kill, p, "TERMINATE")
    check("#1 to 'kill' (string expected, got number)", p.kill, p, 9)
    check("#1 to 'wait' (number expected, got string)", p.wait, p, "1")
    p:wait()
  end)
end)
