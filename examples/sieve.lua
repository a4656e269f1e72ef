-- The first 100 primes by a chain of goroutines that grows at its end: each
-- prime found adds a filter, which passes on what the prime does not divide.
--
--   lua5.4 examples/sieve.lua [HOW_MANY]

local go = require("goroutines")

local function generate(numbers)
  local n = 2
  while true do
    numbers:send(n)
    n = n + 1
  end
end

local function filter(prime, numbers, rest)
  for n in numbers do
    if n % prime ~= 0 then rest:send(n) end
  end
end

local numbers = go.chan()
go(generate, numbers)

for _ = 1, tonumber(arg[1] or 100) do
  local prime = numbers:recv()
  print(prime)
  local rest = go.chan()
  go(filter, prime, numbers, rest)
  numbers = rest
end
