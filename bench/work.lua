-- About a quarter of a second of plain Lua for preempt_cost: calls, arithmetic,
-- and strings and tables that keep allocator and garbage collector busy.

local function fib(i)
  return i < 2 and i or fib(i - 1) + fib(i - 2)
end

return function()
  local x = fib(28)
  for i = 1, 10000000 do x = (x * 31 + i) % 1000003 end
  local list = {}
  for i = 1, 500000 do list[i % 1000 + 1] = tostring(i) end
  return x + #list
end
