local helper = require("spec.helper")

-- Runs a script with goroutines of all kinds at work, which forks in C.
local function output(script)
  return helper.output({ [[
    local go = require("goroutines")
    go.procs(2)
    go.configure({ time_slice = 0.0001 })
    local fixture = require("fixture")
    local ch, full = go.chan(), go.chan(1)
    full:send(1)
    local mutex, rwmutex, group = go.mutex(), go.rwmutex(), go.waitgroup()
    local once, cond, map = go.once(), go.cond(mutex), go.map()
    local tasks = go.group()
    local semaphore, atomic, barrier = go.semaphore(2), go.atomic(), go.barrier(2)
    for _ = 1, 2 do
      go(function() while true do mutex:with(go.yield) end end)
      go(function() while true do map:set("k", { atomic:add(1) }) end end)
    end
    local timer, ticker = go.timer(3600, print), go.ticker(0.0001)
    local task = go.spawn(function() full:send(2) end)
    for _ = 1, 3 do
      go(function() while true do end end)
    end
    go(function() while true do ch:send(1) end end)
    go(function() for _ in ticker do end end)
    go(function() while true do go.spawn(function() end):join() end end)
    for _ = 1, 10 do ch:recv() end
  ]] .. script, limit = 20 })
end

local CALLS = {
  "go(print)", "go.spawn(print)", "go.self()", "go.yield()", "go.count()",
  "go.blocking(print)", "go.lock_thread()", "go.unlock_thread()",
  "go.procs()", "go.procs(2)", "go.configure()", "go.stats()", "go.chan()",
  "go.sleep(0)", "go.sleep(0.01)", "go.after(1)", "go.ticker(1)",
  "go.timer(1, print)", "go.select()", "go.select(ch)",
  "go.select(ch, go.default)", "ch:send(1)", "ch:send(1, 0)", "ch:recv()",
  "ch:recv(0)", "ch:close()", "ch:is_closed()", "ch:sending(1)", "ch:sender()",
  "ch()", "#ch", "task:join()", "task:join(0)", "task:status()",
  "task:traceback()", "timer:stop()", "timer:reset(1)", "ticker:stop()",
  "ticker:reset(1)", "ticker:recv()", "go.mutex()", "go.rwmutex()", "go.once()",
  "go.waitgroup()", "go.cond(mutex)", "go.semaphore(1)", "go.atomic()",
  "go.map()", "go.barrier(2)", "go.dump()", "go.trace()", "mutex:lock()", "mutex:try_lock()",
  "mutex:unlock()", "mutex:with(print)", "mutex:guard()", "rwmutex:lock()",
  "rwmutex:rlock()", "rwmutex:unlock()", "rwmutex:try_rlock()", "group:add(1)",
  "group:done()", "group:wait()", "group:go(print)", "once:run(print)",
  "cond:wait()", "cond:signal()", "cond:broadcast()", "semaphore:acquire()",
  "semaphore:try_acquire()", "semaphore:release()", "atomic:load()",
  "atomic:store(1)", "atomic:add(1)", "map:get(1)", "map:set(1, 1)",
  "map:delete(1)", "map:update(1, print)", "map:keys()", "#map", "pairs(map)",
  "barrier:wait()", "go.group()", "tasks:spawn(print)", "tasks:wait()",
  "tasks:cancel()", "tasks:results()", "tasks:completed()",
}

describe("the child of a fork in C code", function()
  it("gets an error from every call of the module", function()
    local lines = {}
    for i, call in ipairs(CALLS) do
      lines[i] = ("check(%q, function() local _ = %s end)"):format(call, call)
    end
    assert.equal("0\n", output([[
      print(fixture.fork(function()
        local wrong = 0
        local function check(what, f)
          local ok, err = pcall(f)
          if ok or not err:find("this process was forked", 1, true) then
            print(what, ok, err)
            wrong = wrong + 1
          end
        end
        ]] .. table.concat(lines, "\n") .. [[
        os.exit(wrong)
      end))
    ]]))
  end)

  it("runs Lua as before, and may exit in any way", function()
    for _, exit in ipairs({
      "os.exit(7)", "os.exit(7, true)",
    }) do
      assert.equal("in the child\n7\n", output(([[
        print(fixture.fork(function()
          local sum, co = 0, coroutine.wrap(function()
            for i = 1, 100000 do coroutine.yield(i) end
          end)
          for _ = 1, 100000 do sum = sum + co() end
          debug.sethook(function() end, "l", 10)
          for _ = 1, 1000 do sum = sum + #(("x"):rep(1000)) end
          debug.sethook()
          local made = {}
          for i = 1, 100 do made[i] = setmetatable({}, { __gc = function() end }) end
          collectgarbage()
          assert(require("string") == string and os.execute("true"))
          assert(io.popen("echo x"):read("a") == "x\n")
          print("in the child")
          %s
        end))
      ]]):format(exit)))
    end
  end)

  it("ends well when main returns or fails in it", function()
    for last, status in pairs({ [""] = 0, ["error('failed', 0)"] = 1 }) do
      local result = helper.lua({ ([[
        local go = require("goroutines")
        local fixture = require("fixture")
        go(function() while true do end end)
        local failed = go.spawn(error, "reported once")
        while failed:status() ~= "failed" do go.yield() end
        local status = fixture.fork(function() end)
        if status then
          print(status)
          os.exit(0)
        end
        print("in the child")
        %s
      ]]):format(last) })
      assert.equal(("in the child\n%d\n"):format(status), result.stdout)
      assert.equal(0, result.code)
      assert.equal(1, select(2, result.stderr:gsub("reported once\n", "")))
      assert.equal(status, select(2, result.stderr:gsub("lua[^\n]*: failed", "")))
    end
  end)

  it("ends with the goroutine that forked", function()
    for last, status in pairs({
      ["return 1"] = 0, ["error('failed', 0)"] = 1, ["go.exit()"] = 0,
    }) do
      local result = helper.lua({ ([[
        local go = require("goroutines")
        go.procs(2)
        for _ = 1, 2 do go(function() while true do end end) end
        print(go.spawn(function()
          local status = require("fixture").fork(function() end)
          if status then return status end
          %s
        end):join())
      ]]):format(last) })
      assert.equal(("true\t%d\n"):format(status), result.stdout)
      assert.equal(status, select(2, result.stderr:gsub("failed", "")))
      assert.equal(0, result.code)
    end
  end)

  it("leaves the parent as it was, a hundred times", function()
    assert.equal("100\ttrue\t3\n", output([[
      local zeros = 0
      for _ = 1, 100 do
        zeros = zeros + (fixture.fork(function() os.exit(0) end) == 0 and 1 or 0)
      end
      print(zeros, go.spawn(function() return 3 end):join())
    ]]))
  end)

  it("is forked by a goroutine while others go on", function()
    assert.equal("100\n", output([[
      local tasks, zeros = {}, 0
      for i = 1, 4 do
        tasks[i] = go.spawn(function()
          local fixture, zeros = require("fixture"), 0
          for _ = 1, 25 do
            local status = fixture.fork(function()
              local ok = pcall(go.yield)
              os.exit(ok and 1 or 0)
            end)
            zeros = zeros + (status == 0 and 1 or 0)
          end
          return zeros
        end)
      end
      for i = 1, 4 do
        zeros = zeros + select(2, assert(tasks[i]:join()))
      end
      print(zeros)
    ]]))
  end)
end)
