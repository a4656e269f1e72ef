local go = require("goroutines")
local helper = require("spec.helper")

local drain, range = helper.drain, helper.range

local PROCS = { 1, 2, 4 }

describe("a pipeline of channels", function()
  it("keeps order through a daisy chain", function()
    helper.each_procs(PROCS, function()
      local first = go.chan()
      local left = first
      for _ = 1, 20 do
        local right = go.chan()
        go(function(from, to)
          for v in from do
            to:send(v)
          end
          to:close()
        end, left, right)
        left = right
      end
      go(function()
        for i = 1, 20 do
          first:send(i)
        end
        first:close()
      end)
      assert.same(range(20), drain(left))
    end)
  end)

  it("links ten thousand goroutines", function()
    local leftmost = go.chan()
    local left = leftmost
    for _ = 1, 10000 do
      local right = go.chan()
      go(function(to, from) to:send(from:recv() + 1) end, left, right)
      left = right
    end
    left:send(0)
    assert.equal(10000, leftmost:recv())
  end)

  -- Prime numbers by a chain of filters that grows by one at each prime.
  it("sieves primes", function()
    local function filter(from, to, prime)
      for n in from do
        if n % prime ~= 0 then
          to:send(n)
        end
      end
      to:close()
    end
    helper.each_procs(PROCS, function()
      local first, primes = go.chan(), {}
      go(function()
        for n = 2, 100 do
          first:send(n)
        end
        first:close()
      end)
      local numbers = first
      for prime in function() return numbers:recv() end do
        primes[#primes + 1] = prime
        local rest = go.chan()
        go(filter, numbers, rest, prime)
        numbers = rest
      end
      assert.equal(25, #primes)
      assert.same({ 2, 3, 5, 7, 11 }, table.move(primes, 1, 5, 1, {}))
      assert.equal(97, primes[25])
    end)
  end)

  -- An unbounded queue: its send case is there only when there is something.
  it("has room without bound where a goroutine provides it", function()
    local function queue(from, to)
      local items, first, last = {}, 1, 0
      while from or first <= last do
        local case = first <= last and to:sending(items[first])
        local i, v = go.select(from or false, case)
        if i == 2 then
          items[first], first = nil, first + 1
        elseif v == nil then
          from = nil
        else
          last = last + 1
          items[last] = v
        end
      end
      to:close()
    end
    helper.each_procs(PROCS, function()
      local input, output = go.chan(), go.chan()
      go(queue, input, output)
      for i = 1, 1000 do
        input:send(i)
      end
      input:close()
      assert.same(range(1000), drain(output))
    end)
  end)

  -- The numbers 2^a 3^b 5^c in order: each one found is fed back to three
  -- multipliers, whose streams are merged. Endless, so it is left running.
  it("may contain loops, and be left running at the end", function()
    local output = helper.output([[
      local go = require("goroutines")

      local function multiply(factor, from, to)
        for n in from do
          to:send(n * factor)
        end
      end

      local function merge(streams, output)
        local heads = {}
        for i, stream in ipairs(streams) do
          heads[i] = stream:recv()
        end
        while true do
          local least = math.min(table.unpack(heads))
          output:send(least)
          for i, stream in ipairs(streams) do
            if heads[i] == least then
              heads[i] = stream:recv()
            end
          end
        end
      end

      local inputs, streams, merged = {}, {}, go.chan()
      for i, factor in ipairs({ 2, 3, 5 }) do
        inputs[i], streams[i] = go.chan(100), go.chan(100)
        go(multiply, factor, inputs[i], streams[i])
      end
      go(merge, streams, merged)
      local n = 1
      for _ = 1, 20 do
        io.write(n, " ")
        for _, input in ipairs(inputs) do
          input:send(n)
        end
        n = merged:recv()
      end
    ]])
    assert.equal("1 2 3 4 5 6 8 9 10 12 15 16 18 20 24 25 27 30 32 36 ", output)
  end)

  -- 23 workers a stage, closed stage by stage.
  it("conserves the sum of what goes through", function()
    local function stage(from, to, f)
      local workers = {}
      for i = 1, 23 do
        workers[i] = go.spawn(function()
          for v in from do
            to:send(f(v))
          end
        end)
      end
      go(function()
        for _, worker in ipairs(workers) do
          worker:join()
        end
        to:close()
      end)
    end
    helper.each_procs(PROCS, function()
      local n, numbers = 5000, go.chan(23)
      local doubled, results = go.chan(23), go.chan(23)
      stage(numbers, doubled, function(v) return v * 2 end)
      stage(doubled, results, function(v) return v + 1 end)
      go(function()
        for i = 1, n do
          numbers:send(i)
        end
        numbers:close()
      end)
      local sum, count = 0, 0
      for v in results do
        sum, count = sum + v, count + 1
      end
      assert.equal(n, count)
      assert.equal(n * (n + 1) + n, sum)
    end)
  end)
end)
