-- Pipes, as those to child processes: what holds for connections holds for them.
-- Cases named P20 and P21 are Go's, from its os and net packages.

local go = require("goroutines")
local helper = require("spec.helper")

local spawn = go.process.spawn

-- A program whose input comes back as its output.
local function cat()
  return assert(spawn({ "cat", stdin = "pipe", stdout = "pipe" }))
end

-- One that neither reads nor writes.
local function idle()
  return assert(spawn({ "sleep", "60", stdin = "pipe", stdout = "pipe" }))
end

local function stop(p)
  p:kill("KILL")
  p:wait()
  p.stdin:close()
  p.stdout:close()
end

describe("a pipe", function()
  it("gives lines, and then the end (P20)", function()
    local p = cat()
    for i = 1, 5 do
      p.stdin:write("line ", i, "\n")
      assert.equal("line " .. i, p.stdout:read())
    end
    p.stdin:close()
    assert.is_nil(p.stdout:read())
    assert.is_nil(p.stdout:read("s"))
    assert.equal(0, p:wait())
  end)

  it("is broken for whoever writes, and the process goes on (P20)", function()
    local p = spawn({ "true", stdin = "pipe" })
    p:wait()
    for _ = 1, 20 do
      assert.same({ nil, "broken pipe", "EPIPE" }, { p.stdin:write("x") })
    end
    p.stdin:close()
  end)

  it("is copied into a connection as it comes (P20)", function()
    local l <close> = go.net.listen("127.0.0.1", 0)
    local a <close> = go.net.connect("127.0.0.1", l:port())
    local b <close> = l:accept()
    local p = cat()
    local copier = go.spawn(function()
      for data in p.stdout:lines("s") do
        a:write(data)
      end
      a:shutdown()
    end)
    for i = 1, 3 do -- each comes before the next is written
      p.stdin:write("part ", i, "\n")
      assert.equal("part " .. i, b:read())
    end
    p.stdin:close()
    assert.is_nil(b:read())
    assert.same({ true }, { copier:join() })
    assert.equal(0, p:wait())
  end)

  it("carries a megabyte both ways (P21)", function()
    local p = cat()
    local text = ("0123456789abcdef"):rep(65536)
    local writer = go.spawn(function()
      p.stdin:write(text)
      p.stdin:close()
    end)
    assert.is_true(p.stdout:read("a") == text)
    assert.same({ true }, { writer:join() })
    assert.equal(0, p:wait())
  end)

  it("ends who waits for it when it is closed", function()
    local p = idle()
    local reader = helper.blocked(function() return p.stdout:read() end)
    local writer = helper.blocked(function()
      return p.stdin:write(("x"):rep(1024 * 1024))
    end)
    p.stdout:close()
    p.stdin:close()
    assert.same({ true, nil, "closed" }, { reader:join() })
    assert.same({ true, nil, "closed" }, { writer:join() })
    stop(p)
  end)

  it("is closed while all are at it", function()
    for i = 1, 20 do
      local p = cat()
      local tasks = {
        go.spawn(function() repeat until not p.stdout:read("s") end),
        go.spawn(function() repeat until not p.stdin:write("x") end),
      }
      for _ = 1, i % 5 do
        go.yield()
      end
      p.stdin:close()
      p.stdout:close()
      for _, task in ipairs(tasks) do
        assert.same({ true }, { task:join() })
      end
      p:wait()
    end
  end)

  it("has one reader and one writer at a time", function()
    local p = idle()
    local reader = helper.blocked(function() return p.stdout:read() end)
    local ok, err = pcall(p.stdout.read, p.stdout)
    assert.is_false(ok)
    assert.matches("another goroutine is in it", err)
    stop(p)
    assert.is_true((reader:join()))
  end)

  it("has time limits, after which it goes on (P21)", function()
    local p = cat()
    p.stdout:set_timeout(0.01)
    for _ = 1, 3 do
      local start = go.now()
      assert.same({ nil, "timeout" }, { p.stdout:read() })
      assert.is_true(go.now() - start >= 0.01)
    end
    p.stdout:set_timeout(nil)
    p.stdin:write("late\n")
    assert.equal("late", p.stdout:read())
    local reader = helper.blocked(function() return p.stdout:read() end)
    p.stdout:set_timeout(0) -- holds for who waits already
    assert.same({ true, nil, "timeout" }, { reader:join() })
    p.stdin:close()
    assert.equal(0, p:wait())
  end)

  it("has a time limit for writing (P21)", function()
    local p = idle()
    p.stdin:set_timeout(0.02)
    assert.same({ nil, "timeout" }, { p.stdin:write(("x"):rep(1024 * 1024)) })
    p.stdin:set_timeout(0)
    assert.same({ nil, "timeout" }, { p.stdin:write("x") })
    p.stdin:set_timeout(nil)
    local writer = helper.blocked(function() return p.stdin:write("x") end)
    p.stdin:set_write_timeout(0.01)
    assert.same({ true, nil, "timeout" }, { writer:join() })
    stop(p)
  end)
end)
