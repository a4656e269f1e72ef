-- What the programs of the case transfer share: the values that they send, and
-- how a round trip of each is timed.

local case = dofile((arg[0]:match("^.*/") or "") .. "../case.lua")

local transfer = {}

-- A binary tree of so many nodes, numbered from `first`, as flat as can be.
local function tree(nodes, first)
  if nodes == 0 then return nil end
  local left = (nodes - 1) // 2
  return {
    value = first + left,
    left = tree(left, first),
    right = tree(nodes - 1 - left, first + left + 1),
  }
end

local function array(length)
  local items = {}
  for i = 1, length do items[i] = i end
  return items
end

-- What is sent, and how often between two looks at the clock.
local VALUES = {
  { name = "integer", batch = 1000, make = function() return 42 end },
  { name = "string_40b", batch = 1000, make = function()
    return ("abcdefgh"):rep(5)
  end },
  { name = "string_1mb", batch = 1, make = function()
    return ("abcdefgh"):rep(1 << 17)
  end },
  { name = "struct", batch = 1000, make = function()
    return { id = 1, name = "abc", tags = { 1, 2, 3 } }
  end },
  { name = "array_1000", batch = 10, make = function() return array(1000) end },
  { name = "tree_10000", batch = 1, make = function() return tree(10000, 1) end },
}

-- round_trips(value, n) sends the value and takes it back, n times. No other
-- value is alive meanwhile, nor what is left of the one before.
function transfer.report(round_trips)
  for _, one in ipairs(VALUES) do
    local value = one.make()
    collectgarbage()
    local seconds = case.average_seconds(function()
      round_trips(value, one.batch)
    end)
    case.report_ns("transfer_" .. one.name, seconds, one.batch)
  end
end

return transfer
