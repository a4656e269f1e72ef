-- A pipeline with back-pressure: the stages are joined by channels that hold
-- few values, so that the producer is never far ahead of the slow consumer. If
-- a stage fails, the group ends the others.
--
--   lua5.4 examples/pipeline.lua

local go = require("goroutines")

local ROOM, COUNT = 2, 20

local function produce(out, made)
  for i = 1, COUNT do
    made:add(1)
    out:send(i)
  end
  out:close()
end

local function square(from, out)
  for n in from do out:send(n * n) end
  out:close()
end

-- Returns the sum, and how far the producer was ahead at most.
local function consume(from, made)
  local sum, taken, ahead = 0, 0, 0
  for n in from do
    ahead = math.max(ahead, made:load() - taken)
    taken, sum = taken + 1, sum + n
    go.sleep(0.001)
  end
  return sum, ahead
end

local g <close> = go.group()
local numbers, squares, made = go.chan(ROOM), go.chan(ROOM), go.atomic()
g:spawn(produce, numbers, made)
g:spawn(square, numbers, squares)
local _, sum, ahead = g:spawn(consume, squares, made):join()
print(("sum of %d squares: %d"):format(COUNT, sum))
print(ahead <= 2 * ROOM + 4 and "the producer was held back" or "it ran ahead")
