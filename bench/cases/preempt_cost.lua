-- CPU time of a CPU-bound function in goroutines over its CPU time in a
-- lua5.4 without the module: of one goroutine beside 100 parked ones, which
-- nothing has to preempt; and of two goroutines, which take turns when there
-- is but one processor, over twice the plain time.

local go = require("goroutines")
local case = dofile((arg[0]:match("^.*/") or "") .. "../case.lua")

local WORK = arg[0]:gsub("[^/]*$", "../work.lua")
local rounds = case.times(3)
local work = dofile(WORK)

local function interpreter()
  local i = 0
  while arg[i - 1] do i = i - 1 end
  return arg[i]
end

local PLAIN = [[%s -e "local work = dofile('%s') local start = os.clock()
work() print(os.clock() - start)"]]

local function plain_cpu()
  local pipe <close> = assert(io.popen(PLAIN:format(interpreter(), WORK)))
  return pipe:read("n")
end

local function cpu_of_all(...)
  local start = os.clock()
  case.seconds_of_all(...)
  return os.clock() - start
end

local function park(gate)
  gate:recv()
end

local gate = go.chan()
for _ = 1, 100 do go(park, gate) end

local plain, parked, preempted = 0, 0, 0
for _ = 1, rounds do
  plain = plain + plain_cpu()
  parked = parked + cpu_of_all({ work })
  preempted = preempted + cpu_of_all({ work }, { work })
end
case.report("preempt_cost_parked", parked / plain, "x")
case.report("preempt_cost_preempted", preempted / (2 * plain), "x")
