-- Who computes how much: of goroutines that share one processor, each gets its
-- part. What is compared was done in the same time on the same thread, so that
-- other processes do not matter.

local go = require("goroutines")
local helper = require("spec.helper")

-- Two goroutines that hand a token to and fro until `stop` is closed, each
-- computing for `work` rounds before it does. The task gives the rounds of both.
local function pair(stop, work)
  local there, back = go.chan(), go.chan()
  local function compute()
    for _ = 1, work do end
    return work
  end
  go(function()
    for rounds in there do
      back:send(rounds + compute())
    end
  end)
  return go.spawn(function()
    local rounds = 0
    while not stop:is_closed() do
      there:send(rounds + compute())
      rounds = back:recv()
    end
    there:close()
    return rounds
  end)
end

-- One that computes until `stop` is closed; the task gives how much.
local function hog(stop)
  return go.spawn(function()
    local rounds = 0
    while not stop:is_closed() do
      for _ = 1, 1000 do end
      rounds = rounds + 1000
    end
    return rounds
  end)
end

-- Waits until this process has used that much CPU time, looking every `pause`
-- seconds (0.1): others are interrupted then.
local function use_cpu(seconds, pause)
  local clock = os.clock
  local last = clock() + seconds
  repeat go.sleep(pause or 0.1) until clock() >= last
end

local function result(task)
  local ok, value = task:join()
  assert(ok, value)
  return value
end

describe("on one processor", function()
  it("hogs get equal parts", function()
    local _ <close> = helper.procs(1)
    local stop, tasks = go.chan(), {}
    for i = 1, 4 do
      tasks[i] = hog(stop)
    end
    use_cpu(0.6)
    stop:close()
    local least, most = math.huge, 0
    for i = 1, 4 do
      local rounds = result(tasks[i])
      least, most = math.min(least, rounds), math.max(most, rounds)
    end
    assert.is_true(most < 3 * least, most .. " " .. least)
  end)

  it("a pair that plays ping-pong has one part, not two", function()
    local _ <close> = helper.procs(1)
    local stop = go.chan()
    local a, b, c = pair(stop, 1000), hog(stop), hog(stop)
    use_cpu(0.6)
    stop:close()
    local of_pair, of_hogs = result(a), (result(b) + result(c)) / 2
    assert.is_true(of_pair < 2 * of_hogs, of_pair .. " " .. of_hogs)
    assert.is_true(of_pair > of_hogs / 3, of_pair .. " " .. of_hogs)
  end)

  it("who is interrupted goes on with the rest of a slice, not a new one", function()
    local _ <close> = helper.procs(1)
    local stop = go.chan()
    local a, b, c = pair(stop, 1000), hog(stop), hog(stop)
    use_cpu(0.6, 0.001)
    stop:close()
    local of_pair, of_hogs = result(a), (result(b) + result(c)) / 2
    assert.is_true(of_pair < 2 * of_hogs, of_pair .. " " .. of_hogs)
    assert.is_true(of_pair > of_hogs / 3, of_pair .. " " .. of_hogs)
  end)

  it("a pair with short turns has as much as one with long ones", function()
    local _ <close> = helper.procs(1)
    local stop = go.chan()
    local long, short = pair(stop, 1000000), pair(stop, 1000)
    use_cpu(0.6)
    stop:close()
    long, short = result(long), result(short)
    assert.is_true(long < 3 * short and short < 3 * long, long .. " " .. short)
  end)

  it("a crowd of sleepers does not starve one that computes", function()
    local _ <close> = helper.procs(1)
    local stop, sleepers = go.chan(), {}
    for i = 1, 50 do
      sleepers[i] = go.spawn(function()
        while not stop:is_closed() do
          go.sleep(0.00001)
          for _ = 1, 1000 do end
        end
      end)
    end
    local task = hog(stop)
    use_cpu(0.3)
    stop:close()
    local rounds = result(task)
    for i = 1, 50 do
      result(sleepers[i])
    end
    assert.is_true(rounds > 100000, rounds)
  end)
end)

describe("a crowd of sleepers", function()
  it("does not keep others from starting, or going on", function()
    assert.equal("done\n", helper.output({ [[
      local go = require("goroutines")
      for _ = 1, 300 do
        go(function()
          while true do
            go.sleep(0.00001)
            for _ = 1, 5000 do end
          end
        end)
      end
      go.sleep(0.05)
      local ch = go.chan()
      for i = 1, 20 do
        assert(go.spawn(function() return i end):join())
        go(function() ch:send(i) end)
        assert(ch:recv() == i)
      end
      print("done")
    ]], env = { GOROUTINES_PROCS = 1 }, limit = 20 }))
  end)
end)

-- What one that sleeps for `pause` seconds again and again finds until `stop` is
-- closed: how late it goes on at the latest, and how often it did.
local function sleeper(stop, pause)
  return go.spawn(function()
    local worst, times = 0, 0
    while not stop:is_closed() do
      local due = go.now() + pause
      go.sleep(pause)
      if stop:is_closed() then break end
      worst, times = math.max(worst, go.now() - due), times + 1
    end
    return { worst = worst, times = times }
  end)
end

-- Some goroutines compute, and are made to give way to another.
local function interrupt_some()
  local stop = go.chan()
  local a, b = hog(stop), hog(stop)
  use_cpu(0.02, 0.001)
  stop:close()
  result(a)
  result(b)
end

describe("a crowd that is woken at once", function()
  -- A channel that it waits at, and what joins it.
  local function crowd(n)
    local gate, up, done = go.chan(), go.chan(n), go.chan(n)
    for _ = 1, n do
      go(function()
        up:send(true)
        gate:recv()
        for _ = 1, 2000 do end
        done:send(true)
      end)
    end
    for _ = 1, n do
      up:recv()
    end
    interrupt_some() -- those woken over channels go before what computes then
    return gate, function()
      for _ = 1, n do
        done:recv()
      end
    end
  end

  it("does not keep waiting what is due", function()
    helper.each_procs({ 1, 2 }, function()
      local gate, join = crowd(helper.times(20000))
      local over = go.chan()
      local task = sleeper(over, 0.005)
      gate:close()
      join()
      over:close()
      local worst = result(task).worst
      assert.is_true(worst < helper.within(0.03), worst)
    end)
  end)

  it("does not keep waiting what was started before, though main hears of each", function()
    helper.each_procs({ 1, 2 }, function()
      local gate, join = crowd(helper.times(20000))
      local start = go.now()
      local task = go.spawn(go.now)
      gate:close()
      join()
      local late = result(task) - start
      assert.is_true(late < helper.within(0.06), late)
    end)
  end)
end)

-- 2,000 that sleep for 10 ms or so and have short turns: their deadlines are
-- met several at a time.
describe("thousands of short sleeps", function()
  local function begin(stop)
    local tasks = {}
    for i = 1, 2000 do
      tasks[i] = sleeper(stop, 0.01 + i % 100 / 10000)
    end
    go.sleep(0.2)
    return function()
      for _, task in ipairs(tasks) do
        result(task)
      end
    end
  end

  it("make nobody late by much more than a millisecond", function()
    helper.each_procs({ 1, 2 }, function()
      local stop = go.chan()
      local join, late = begin(stop), {}
      for i = 1, 200 do
        local due = go.now() + 0.001
        go.sleep(0.001)
        late[i] = go.now() - due
      end
      stop:close()
      join()
      table.sort(late)
      assert.is_true(late[100] < helper.within(0.003), late[100])
    end)
  end)

  it("have as much time as somebody who computes, or their own processor", function()
    helper.each_procs({ 1, 2 }, function()
      local stop = go.chan()
      local join = begin(stop)
      local task = sleeper(stop, 0.001)
      local last = go.now() + helper.within(0.3)
      repeat until go.now() >= last
      stop:close()
      join()
      local worst = result(task).worst
      assert.is_true(worst < helper.within(0.06), worst)
    end)
  end)
end)

describe("a thousand sleepers that are always due", function()
  it("do not keep a pair from going on, nor one that computes", function()
    helper.each_procs({ 1, 2 }, function()
      local stop, sleepers = go.chan(), {}
      local of_pair, of_hog = pair(stop, 1), hog(stop)
      for i = 1, 1000 do
        sleepers[i] = sleeper(stop, 0.0001)
      end
      use_cpu(0.5)
      stop:close()
      local times = 0
      for i = 1, 1000 do
        times = times + result(sleepers[i]).times
      end
      local rounds, computed = result(of_pair), result(of_hog)
      assert.is_true(rounds > 500, rounds)
      assert.is_true(computed > 100000, computed)
      assert.is_true(times > 1000, times)
    end)
  end)
end)

describe("one that yields", function()
  -- How often it gets its turn beside others while so much CPU time is used.
  local function turns_beside(start_others, seconds)
    local _ <close> = helper.procs(1)
    local _ <close> = helper.configure({ time_slice = 0.0001 })
    local stop = go.chan()
    local join_others = start_others(stop)
    local yielder = go.spawn(function()
      local turns = 0
      while not stop:is_closed() do
        go.yield()
        turns = turns + 1
      end
      return turns
    end)
    use_cpu(seconds)
    stop:close()
    join_others()
    return result(yielder)
  end

  -- 200 goroutines that start the next one and end. Returns what waits for them.
  local function fill_queues(stop)
    local over = go.chan()
    local function respawn()
      if stop:is_closed() then
        over:send(true)
      else
        go(respawn)
      end
    end
    for _ = 1, 200 do
      go(respawn)
    end
    return function()
      for _ = 1, 200 do
        over:recv()
      end
    end
  end

  it("has its turn beside queues that others fill for ever", function()
    local turns = turns_beside(fill_queues, 0.6)
    assert.is_true(turns >= 1, turns)
  end)

  it("is not let down by the monitor, which holds a lock that they sleep for", function()
    local before = go.stats()
    turns_beside(fill_queues, 0.3)
    local after = go.stats()
    local retakes = after.retakes - before.retakes
    local preemptions = after.preemptions - before.preemptions
    assert.is_true(retakes < 20 + preemptions / 4, retakes .. " " .. preemptions)
  end)

  it("has its turn there also as one of three thousand", function()
    local _ <close> = helper.procs(1)
    local _ <close> = helper.configure({ time_slice = 0.0001 })
    local n, stop = 3000, go.chan()
    local back = go.chan(n)
    for _ = 1, n do
      go(function()
        go.yield()
        back:send(true)
      end)
    end
    local join_others, start = fill_queues(stop), go.now()
    for _ = 1, n do
      back:recv()
    end
    local seconds = go.now() - start
    stop:close()
    join_others()
    assert.is_true(seconds < helper.within(1.5), seconds)
  end)

  it("has its turn beside channel traffic that never stops", function()
    local turns = turns_beside(function(stop)
      local tasks = {}
      for i = 1, 8 do
        tasks[i] = pair(stop, 10)
      end
      return function()
        for i = 1, 8 do
          result(tasks[i])
        end
      end
    end, 0.3)
    assert.is_true(turns >= 5, turns)
  end)

  it("has its turn beside producers and consumers", function()
    local turns = turns_beside(function(stop)
      local consumers = {}
      for i = 1, 8 do
        local ch = go.chan(16)
        go(function()
          while not stop:is_closed() do ch:send(i) end
          ch:close()
        end)
        consumers[i] = go.spawn(function() for _ in ch do end end)
      end
      return function()
        for i = 1, 8 do
          result(consumers[i])
        end
      end
    end, 0.3)
    assert.is_true(turns >= 5, turns)
  end)
end)

-- What is due is done, whatever goes on beside it.
describe("beside channel traffic that never stops", function()
  local TIMED = {
    { "sleeps end", function()
      for _ = 1, 20 do
        go.sleep(0.002)
      end
    end },
    { "timers run, and may set the next", function()
      local done = go.chan()
      local function again(left)
        if left == 0 then
          done:send(true)
        else
          go.timer(0.002, again, left - 1)
        end
      end
      go.timer(0.002, again, 20)
      done:recv()
    end },
    { "tickers tick", function()
      local ticker = go.ticker(0.002)
      for _ = 1, 20 do
        ticker:recv()
      end
      ticker:stop()
    end },
    { "time limits are kept", function()
      local ch = go.chan()
      for _ = 1, 20 do
        ch:recv(0.002)
      end
    end },
    { "go.after gives the time", function()
      for _ = 1, 20 do
        go.select(go.after(0.002))
      end
    end },
  }
  for _, row in ipairs(TIMED) do
    local name, body = table.unpack(row)
    it(name, function()
      helper.each_procs({ 1, 2 }, function(procs)
        local stop, pairs_of = go.chan(), {}
        for i = 1, 2 * procs do
          pairs_of[i] = pair(stop, 1)
        end
        local start, cpu = go.now(), os.clock()
        result(go.spawn(body))
        -- In CPU time of this process, should the machine be busy otherwise.
        local took = math.min(go.now() - start, (os.clock() - cpu) / procs)
        stop:close()
        for i = 1, 2 * procs do
          result(pairs_of[i])
        end
        assert.is_true(took < helper.within(0.5), took)
      end)
    end)
  end
end)

describe("a goroutine with a thread of its own", function()
  it("may yield, sleep, wait, and end while it has it", function()
    helper.each_procs({ 1, 2 }, function()
      local stop = go.chan()
      local rival, ch = hog(stop), go.chan()
      local task = go.spawn({ thread = true }, function()
        for _ = 1, 5 do
          go.yield()
          go.sleep(0.0001)
          ch:recv()
        end
        go.lock_thread()
        return "ended"
      end)
      for i = 1, 5 do
        ch:send(i)
      end
      assert.equal("ended", result(task))
      stop:close()
      result(rival)
    end)
  end)

  it("leaves it to others only when unlocked as often as locked", function()
    assert.equal("true\tfalse\tfalse\n", helper.output([[
      local go = require("goroutines")
      go.procs(2)
      print(select(2, go.spawn(function()
        local fixture = require("fixture")
        go.lock_thread()
        go.lock_thread()
        go.unlock_thread()
        local own = fixture.thread()
        for _ = 1, 100 do
          go.sleep(0.0001)
          if fixture.thread() ~= own then return false end
        end
        go.unlock_thread()
        return true, pcall(go.unlock_thread), (pcall(go.unlock_thread))
      end):join()))
    ]]))
  end)
end)

-- Beside one that computes, on one processor, with slices of a second: what the
-- monitor does not see to waits for half of one.
describe("with long slices", function()
  local function script(text)
    return tonumber(helper.output({ [[
      local go = require("goroutines")
      go.configure({ time_slice = 1 })
    ]] .. text, env = { GOROUTINES_PROCS = 1 } }))
  end

  it("a goroutine goes on at once when a request is done", function()
    local seconds = script([[
      go(function() while true do end end)
      print(select(2, go.spawn(function()
        local start = go.now()
        for _ = 1, 10 do
          go.fs.stat("/")
        end
        return go.now() - start
      end):join()))
    ]])
    assert.is_true(seconds < helper.within(0.4), seconds)
  end)

  it("and when the first event comes", function()
    local seconds = script([=[
      local udp = assert(go.net.udp("127.0.0.1"))
      local came = go.atomic(0)
      local send = "require([[socket]]).udp():sendto([[x]], [[127.0.0.1]], %d)"
      os.execute(("(sleep 0.1; lua5.4 -e '%s') &"):format(send:format(udp:port())))
      local start = go.now()
      while go.now() < start + 0.02 do end -- the monitor sees nothing to watch
      go(function()
        udp:receive()
        came:store(1)
      end)
      go.yield()
      while came:load() == 0 do end
      print(go.now() - start)
    ]=])
    assert.is_true(seconds < helper.within(0.3), seconds)
  end)
end)
