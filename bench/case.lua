-- What the cases share. A case prints its figures as lines `name value unit`
-- and may be run alone: lua5.4 bench/cases/<case>.lua [SCALE], where SCALE
-- multiplies how often or how long it does what it measures.

local go = require("goroutines")
local figures = dofile((arg[0]:match("^.*/") or "") .. "../figures.lua")

local case = figures(go.now, arg[1])

-- How long f(...) of each list { f, ... } takes, all in goroutines at once.
function case.seconds_of_all(...)
  local calls = { ... }
  return case.seconds(function()
    local tasks = {}
    for i, call in ipairs(calls) do
      tasks[i] = go.spawn(table.unpack(call))
    end
    for _, task in ipairs(tasks) do assert(task:join()) end
  end)
end

return case
