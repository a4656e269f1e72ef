-- The streams that the process was started with. They run in processes of their
-- own, on pipes.

local go = require("goroutines")
local helper = require("spec.helper")

local scripts = {}

-- A process that runs the script, with pipes.
local function lua(text, options)
  local path = helper.script('local go = require("goroutines")\n' .. text)
  local child = assert(go.process.spawn({
    "sh", "-c", "exec " .. helper.command .. " " .. path, stdin = "pipe", stdout = "pipe",
    stderr = options and options.stderr or "inherit" }))
  scripts[#scripts + 1] = path
  return child
end

local function remove_scripts()
  while #scripts > 0 do
    os.remove(table.remove(scripts))
  end
end

describe("stdout", function()
  after_each(remove_scripts)

  it("cannot be read where it can only be written to", function()
    local child = lua([[
      print(select(3, go.stdout:read()))
    ]])
    assert.equal("EBADF", child.stdout:read())
    assert.equal(0, child:wait())
  end)
end)

describe("stdin", function()
  after_each(remove_scripts)

  it("is read as it comes, while others run", function()
    local child = lua([[
      go(function() while true do go.sleep(0.001) end end)
      print(go.stdin:read())
      print(go.stdin:read("n", "l"))
      print(#go.stdin:read("a"))
      print(go.stdin:read())
      print(go.stdin)
    ]])
    child.stdin:write("first\n")
    assert.equal("first", child.stdout:read())
    child.stdin:write("12 rest\n")
    assert.equal("12\t rest", child.stdout:read())
    child.stdin:write(("x"):rep(200000))
    child.stdin:close()
    assert.equal("200000", child.stdout:read())
    assert.equal("nil", child.stdout:read())
    assert.matches("^stream: ", child.stdout:read())
    assert.equal(0, child:wait())
  end)

  it("ends once where it is a terminal: nothing is asked of it after that", function()
    for _, how in ipairs({ "%s", "go.spawn(function() %s end):join()" }) do
      for _, format in ipairs({ '"a"', "2000", '"l", "l"' }) do
        local path = helper.script('local go = require("goroutines")\n' ..
          how:format(("local got = go.stdin:read(%s) print('got', #got)"):format(format)))
        scripts[#scripts + 1] = path
        local child = assert(go.process.spawn({ "script", "-qec",
          helper.command .. " " .. path, "/dev/null", stdin = "pipe", stdout = "pipe" }))
        local line = ("x"):rep(799)
        child.stdin:write(line, "\n")
        go.sleep(0.1)
        child.stdin:write("\4") -- Ctrl-D, once
        child.stdout:set_read_timeout(20)
        local length
        repeat -- what is typed is shown, too
          local shown = child.stdout:read()
          length = (shown or "got\ttimeout"):match("^got\t(%w+)")
        until length
        assert.equal(format == '"l", "l"' and "799" or "800", length)
        child:kill("KILL")
        child:wait()
      end
    end
  end)

  it("has time limits, and is closed from elsewhere", function()
    local child = lua([[
      go.stdin:set_timeout(0.01)
      print(go.stdin:read())
      go.stdin:set_timeout(nil)
      go(function() go.sleep(0.01) go.stdin:close() end)
      print(go.stdin:read())
    ]])
    assert.equal("nil\ttimeout", child.stdout:read())
    assert.equal("nil\tclosed", child.stdout:read())
    assert.equal(0, child:wait())
  end)

  it("may be a file", function()
    assert.equal("a\nb\n", helper.output({ [[
      local go = require("goroutines")
      for line in go.stdin:lines() do print(line) end
    ]], stdin = "a\nb" }))
  end)
end)

describe("stdout", function()
  after_each(remove_scripts)

  it("keeps the order of stock io and its own", function()
    assert.equal("1234\n5\n", helper.output([[
      local go = require("goroutines")
      io.write("1")
      go.stdout:write("2")
      io.write("3")
      go.stdout:write(4, "\n")
      print(5)
    ]]))
  end)

  it("is not made non-blocking, and waits beside other goroutines", function()
    local child = lua([[
      local writer = go.spawn(function()
        go.stdout:write(("x"):rep(300000), "\n")
      end)
      go.stderr:write("started\n")
      while writer:status() ~= "waiting" do go.yield() end
      go.stderr:write("waits\n")
      writer:join()
      io.write(("y"):rep(300000), "\n") -- stock io still works on it
    ]], { stderr = "pipe" })
    assert.equal("started", child.stderr:read())
    assert.equal("waits", child.stderr:read())
    assert.equal(300000, #child.stdout:read())
    assert.equal(300000, #child.stdout:read())
    assert.equal(0, child:wait())
  end)

  it("that is broken ends the process, as usual", function()
    local child = lua([[
      go.stdin:read()
      while true do go.stdout:write("x\n") end
    ]])
    child.stdout:close()
    child.stdin:write("go\n")
    local code, signal = child:wait()
    assert.is_true(signal == "PIPE" or code == 141)
  end)

  it("shows its end when it is closed", function()
    local child = lua([[
      go.stdout:write("last\n")
      go.stdout:close()
      print("lost")
      print(go.stdout:write("x"))
      go.stdin:read()
    ]])
    assert.equal("last\n", child.stdout:read("a"))
    child.stdin:close()
    assert.equal(0, child:wait())
  end)
end)
