-- A parallel map: at most so many goroutines at a time, results in order. The
-- first error cancels the rest and is raised.
--
--   lua5.4 examples/parallel_map.lua

local go = require("goroutines")

local function map(list, limit, f)
  local g <close> = go.group({ limit = limit })
  for _, value in ipairs(list) do g:spawn(f, value) end
  local ok, err = g:wait()
  if not ok then error(err, 0) end
  local mapped = {}
  for i, result in ipairs(g:results()) do mapped[i] = result[2] end
  return mapped
end

local function divisors(n)
  local count = 0
  for i = 1, n do
    if n % i == 0 then count = count + 1 end
  end
  return count
end

local numbers = { 5040, 9973, 10080, 30030, 65536, 99991 }
for i, count in ipairs(map(numbers, 3, divisors)) do
  print(("%d has %d divisors"):format(numbers[i], count))
end

print(select(2, pcall(map, { 1, "two", 3 }, 2, function(n)
  if type(n) ~= "number" then error("not a number: " .. n, 0) end
  go.sleep(3600)
end)))
