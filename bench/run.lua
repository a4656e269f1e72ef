-- Measures this module beside Go on 1 and on 2 processors and prints one table
-- of medians, and another one of what messages cost, beside lua-cjson as well.
-- Every case is a program of its own in both languages. They run in alternation
-- (ours, Go, ours, Go, ...), each round through all cases, so that a machine
-- that is slow for a while is slow for both.
--
--   lua5.4 bench/run.lua [--runs N] [--only CASE,...] [--quick]

local here = arg[0]:match("^.*/") or ""
local layout = dofile(here .. "table.lua")
local interpreter = dofile(here .. "interpreter.lua")

local CASES = {
  { name = "spawn_join", procs = { 1, 2 } },
  { name = "spawn_many", procs = { 1, 2 } },
  { name = "pingpong", procs = { 1, 2 } },
  { name = "stream_int", procs = { 1, 2 } },
  { name = "select2", procs = { 1, 2 } },
  { name = "yield", procs = { 1, 2 } },
  { name = "parked_memory", procs = { 1, 2 } },
  { name = "parallel_speedup", procs = { 2 } },
  { name = "preempt_cost", procs = { 1 } },
  { name = "sleeper", procs = { 2 } },
  { name = "wakeup", procs = { 2 } },
  { name = "request", procs = { 2 } },
  { name = "sleepers", procs = { 2 } },
  { name = "mutex", procs = { 1, 2 } },
  { name = "rwmutex", procs = { 1, 2 } },
  { name = "waitgroup", procs = { 1, 2 } },
  { name = "group", procs = { 1, 2 } },
  { name = "atomic", procs = { 1, 2 } },
  { name = "semaphore", procs = { 1, 2 } },
  { name = "echo", procs = { 1, 2 } },
  { name = "transfer", procs = { 1 }, section = "transfer" },
}

local BUILD_DIR = here .. "../build/bench"
local TIME_LIMIT_S = 60

local USAGE = [[
usage: lua5.4 bench/run.lua [--runs N] [--only CASE,...] [--quick]
  --runs N         runs of each case, of which the median is shown (5)
  --only CASE,...  these cases only
  --quick          1 run with a tenth of the repetitions
]]

local function say(message, ...)
  io.stderr:write("bench: ", message:format(...), "\n")
end

local function fail(...)
  say(...)
  os.exit(2)
end

local function chosen_cases(list)
  local by_name, chosen = {}, {}
  for _, case in ipairs(CASES) do by_name[case.name] = case end
  for name in list:gmatch("[^,]+") do
    table.insert(chosen, by_name[name] or fail("no case '%s'", name))
  end
  if #chosen == 0 then fail("--only: a case is missing") end
  return chosen
end

local function parsed_options(arguments)
  local options = { runs = 5, scale = 1, cases = CASES }
  local i = 1
  while arguments[i] do
    local word, value = arguments[i], arguments[i + 1] or ""
    if word == "--quick" then
      options.runs, options.scale = 1, 0.1
    elseif word == "--runs" then
      options.runs = math.tointeger(tonumber(value)) or 0
      if options.runs < 1 then fail("--runs: a count is missing") end
      i = i + 1
    elseif word == "--only" then
      options.cases = chosen_cases(value)
      i = i + 1
    else
      io.stderr:write(USAGE)
      os.exit(word == "--help" and 0 or 2)
    end
    i = i + 1
  end
  return options
end

local function build_go()
  local build = 'mkdir -p %s && out=$(cd %s && pwd) && cd %sgo && '
    .. 'go build -o "$out/bench-go" .'
  return os.execute(build:format(BUILD_DIR, BUILD_DIR, here))
end

-- What to run, as templates of commands; `section` is for its cases only.
local function sides()
  if not package.searchpath("goroutines", package.path) then
    fail("no module 'goroutines' in LUA_PATH (see bench/README.md)")
  end
  local ours = {
    key = "ours",
    command = "GOROUTINES_PROCS=$procs timeout $limit "
      .. interpreter .. " " .. here .. "cases/$case.lua $scale",
  }
  local cjson = {
    key = "cjson", section = "transfer",
    command = "GOROUTINES_PROCS=$procs timeout $limit "
      .. interpreter .. " " .. here .. "cases/transfer_cjson.lua $scale",
  }
  local go = {
    key = "go",
    command = "GOMAXPROCS=$procs timeout $limit "
      .. BUILD_DIR .. "/bench-go $case $scale",
  }
  local programs = { ours }
  if pcall(require, "cjson") then
    table.insert(programs, cjson)
  else
    say("no module 'cjson': transfer is measured without it")
  end
  if build_go() then
    table.insert(programs, go)
  else
    say("Go's programs cannot be built: nothing is measured beside them")
  end
  return programs
end

-- The figures by name, and in the order in which they are first seen: of the
-- section `transfer`, and all others.
local sections = { main = {}, transfer = {} }

local function figure_of(case, name, unit)
  local figures = sections[case.section or "main"]
  local figure = figures[name]
  if not figure then
    figure = { name = name, unit = unit }
    for procs = 1, 2 do figure[procs] = { ours = {}, cjson = {}, go = {} } end
    figures[name] = figure
    table.insert(figures, figure)
  end
  return figure
end

-- Returns whether the program ended well.
local function measure(side, case, procs, scale)
  local values = {
    procs = procs, case = case.name, scale = scale, limit = TIME_LIMIT_S,
  }
  local command = side.command:gsub("%$(%w+)", values)
  local pipe = assert(io.popen(command))
  for line in pipe:lines() do
    local name, value, unit = line:match("^(%S+) (%S+) (%S+)$")
    if not name then fail("%s printed: %s", command, line) end
    table.insert(figure_of(case, name, unit)[procs][side.key], tonumber(value))
  end
  if pipe:close() then return true end
  say("failed: %s", command)
  return false
end

-- Every case once, on all numbers of processors, each side in turn.
local function round(programs, options)
  local ok = true
  for _, case in ipairs(options.cases) do
    for _, procs in ipairs(case.procs) do
      for _, side in ipairs(programs) do
        if not side.section or side.section == case.section then
          ok = measure(side, case, procs, options.scale) and ok
        end
      end
    end
  end
  return ok
end

local options = parsed_options(arg)
local programs = sides()
local ok = true
for run = 1, options.runs do
  say("run %d of %d", run, options.runs)
  ok = round(programs, options) and ok
end
local tables = {}
if #sections.main > 0 then
  table.insert(tables, layout.markdown(sections.main))
end
if #sections.transfer > 0 then
  table.insert(tables, layout.transfer(sections.transfer))
end
print(table.concat(tables, "\n\n"))
os.exit(ok)
