-- Threads: how many there are, what happens when there may be no more, and that
-- those without work end.

local helper = require("spec.helper")

local function run(script, env)
  return helper.lua({ 'local go = require("goroutines")\n' .. script, env = env })
end

local REPORT = "goroutines: no thread for goroutines that could run"

describe("threads", function()
  it("end when they have had no work for a while", function()
    local result = run([[
      local function threads() return go.stats().threads end
      local tasks = {}
      for i = 1, 30 do
        tasks[i] = go.spawn(function() go.blocking(os.execute, "sleep 0.3") end)
      end
      local most = 0
      for i = 1, 30 do
        most = math.max(most, threads())
        go.sleep(0.01)
      end
      for i = 1, 30 do tasks[i]:join() end
      local deadline = go.now() + 10
      while threads() > go.procs() + 1 and go.now() < deadline do go.sleep(0.05) end
      print(most > 20, threads() <= go.procs() + 1)
    ]])
    assert.equal("true\ttrue\n", result.stdout)
    assert.equal("", result.stderr)
  end)

  it("are given back by goroutines that locked one and ended", function()
    local result = run([[
      for _ = 1, 50 do
        go.spawn({ thread = true }, function() end):join()
        go.spawn(go.lock_thread):join()
      end
      print(go.stats().threads < 20)
    ]])
    assert.equal("true\n", result.stdout)
  end)

  it("come and go under load, and nothing is lost", function()
    local result = run([[
      local total = 0
      for _ = 1, 20 do
        local tasks = {}
        for i = 1, 20 do
          tasks[i] = go.spawn(function()
            go.blocking(function() for _ = 1, 1000 do end end)
            go.yield()
            return 1
          end)
        end
        for i = 1, 20 do total = total + select(2, tasks[i]:join()) end
      end
      print(total)
    ]])
    assert.equal("400\n", result.stdout)
  end)

  for procs = 1, 8, 7 do
    it(("are bounded, with %d processors"):format(procs), function()
      local result = run([[
        local start, tasks = go.now(), {}
        for i = 1, 10 do
          tasks[i] = go.spawn(function()
            os.execute("sleep 0.1")
            return i
          end)
        end
        local sum, most = 0, 0
        for i = 1, 10 do
          sum = sum + select(2, tasks[i]:join())
          most = math.max(most, go.stats().threads)
        end
        print(sum, most, go.now() - start >= 0.3)
      ]], { GOROUTINES_THREADS = 4, GOROUTINES_PROCS = procs })
      assert.equal("55\t4\ttrue\n", result.stdout)
      assert.equal(REPORT, result.stderr:sub(1, #REPORT))
      assert.equal(1, select(2, result.stderr:gsub("\n", "")))
    end)
  end

  it("are at least two", function()
    local result = run("print(1)", { GOROUTINES_THREADS = 1 })
    assert.equal("1\n", result.stdout)
    assert.truthy(result.stderr:find(
      "GOROUTINES_THREADS=1 is not a number from 2 to", 1, true))
  end)
end)
