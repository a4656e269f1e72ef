-- Measures this module beside Go on 1 and on 2 processors and prints one table
-- of medians, another one of what messages cost, beside lua-cjson as well, and
-- one of peers. Every case is a program of its own on each side. They run in
-- alternation (ours, Go, ours, Go, ...), each round through all cases, so that
-- a machine that is slow for a while is slow for all.
--
--   lua5.4 bench/run.lua [--runs N] [--only CASE,...] [--peers PEER,...]
--     [--spread] [--quick]

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

local PEERS = {
  { key = "erlang", title = "Erlang" },
  { key = "luv", title = "luv", module = "luv" },
  { key = "cqueues", title = "cqueues", module = "cqueues" },
  { key = "coroutines", title = "coroutines", module = "coroutine" },
}

local BUILD_DIR = here .. "../build/bench"
local TIME_LIMIT_S = 60

local USAGE = [[
usage: lua5.4 bench/run.lua [--runs N] [--only CASE,...] [--peers PEER,...]
  [--spread] [--quick]
  --runs N          runs of each case, of which the median is shown (5)
  --only CASE,...   these cases only
  --peers PEER,...  these only of erlang, luv, cqueues, coroutines; or none
  --spread          the least and the greatest value beside each median
  --quick           1 run with a tenth of the repetitions
]]

local function say(message, ...)
  io.stderr:write("bench: ", message:format(...), "\n")
end

local function fail(...)
  say(...)
  os.exit(2)
end

-- Those of a list of { [key] = name, ... } which the words name.
local function chosen(option, words, list, key)
  local by_name, picked = {}, {}
  for _, one in ipairs(list) do by_name[one[key]] = one end
  for name in words:gmatch("[^,]+") do
    table.insert(picked, by_name[name] or fail("%s: no '%s'", option, name))
  end
  if #picked == 0 then fail("%s: a name is missing", option) end
  return picked
end

local function parsed_options(arguments)
  local options = { runs = 5, scale = 1, cases = CASES, peers = PEERS }
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
      options.cases = chosen(word, value, CASES, "name")
      i = i + 1
    elseif word == "--peers" then
      options.peers =
        value == "none" and {} or chosen(word, value, PEERS, "key")
      i = i + 1
    elseif word == "--spread" then
      layout.spread = true
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

-- Erlang's command, or nil and why not. It leaves no dump where it fails, and
-- would report a gentler signal among the figures.
local function erlang_command()
  local build = "command -v erlc >/dev/null && mkdir -p %s && "
    .. "erlc -o %s %serlang/bench.erl"
  if not os.execute(build:format(BUILD_DIR, BUILD_DIR, here)) then
    return nil, "Erlang's program cannot be built"
  end
  return "ERL_CRASH_DUMP_SECONDS=0 timeout -s KILL $limit erl "
    .. "+S $procs:$procs -noinput -pa " .. BUILD_DIR
    .. " -run bench main $case $scale"
end

-- The same for a peer that is a module of Lua.
local function lua_command(peer)
  local try = "%s -e 'require \"%s\"' 2>/dev/null"
  if not os.execute(try:format(interpreter, peer.module)) then
    return nil, ("no module '%s'"):format(peer.module)
  end
  return "timeout $limit " .. interpreter .. " " .. here .. peer.key
    .. "/bench.lua $case $scale"
end

local function expanded(command, values)
  return (command:gsub("%$(%w+)", values))
end

-- The set of names that a peer's program prints without a case.
local function cases_of(command)
  local values = { procs = 1, limit = TIME_LIMIT_S, case = "", scale = "" }
  local names = {}
  local pipe <close> = assert(io.popen(expanded(command, values)))
  for name in pipe:lines() do names[name] = true end
  return names
end

-- Those of the peers that are there, with what to run.
local function present(peers)
  local found = {}
  for _, peer in ipairs(peers) do
    local command, missing
    if peer.module then
      command, missing = lua_command(peer)
    else
      command, missing = erlang_command()
    end
    if command then
      peer.command, peer.cases = command, cases_of(command)
      table.insert(found, peer)
    else
      say("%s: nothing is measured beside %s", missing, peer.title)
    end
  end
  return found
end

-- What to run, as templates of commands; `section` is for its cases only, and
-- so is `cases`, on the least number of processors.
local function sides(peers)
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
  return table.move(peers, 1, #peers, #programs + 1, programs)
end

-- The figures by name, and in the order in which they are first seen: of the
-- section `transfer`, and all others.
local sections = { main = {}, transfer = {} }

local function figure_of(case, name, unit)
  local figures = sections[case.section or "main"]
  local figure = figures[name]
  if not figure then
    figure = { name = name, unit = unit, peers_procs = case.procs[1], {}, {} }
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
  local command = expanded(side.command, values)
  local pipe = assert(io.popen(command))
  for line in pipe:lines() do
    local name, value, unit = line:match("^(%S+) (%S+) (%S+)$")
    if not name then fail("%s printed: %s", command, line) end
    local measured = figure_of(case, name, unit)[procs]
    measured[side.key] = measured[side.key] or {}
    table.insert(measured[side.key], tonumber(value))
  end
  if pipe:close() then return true end
  say("failed: %s", command)
  return false
end

local function takes_part(side, case, procs)
  if side.cases then
    return side.cases[case.name] and procs == case.procs[1]
  end
  return not side.section or side.section == case.section
end

-- Every case once, on all numbers of processors, each side in turn.
local function round(programs, options)
  local ok = true
  for _, case in ipairs(options.cases) do
    for _, procs in ipairs(case.procs) do
      for _, side in ipairs(programs) do
        if takes_part(side, case, procs) then
          ok = measure(side, case, procs, options.scale) and ok
        end
      end
    end
  end
  return ok
end

-- The figures, of both sections, which any of the peers has.
local function beside_peers(peers)
  local figures = {}
  for _, section in ipairs({ sections.main, sections.transfer }) do
    for _, figure in ipairs(section) do
      local measured = figure[figure.peers_procs]
      for _, peer in ipairs(peers) do
        if measured[peer.key] then
          table.insert(figures, figure)
          break
        end
      end
    end
  end
  return figures
end

local options = parsed_options(arg)
local peers = present(options.peers)
local programs = sides(peers)
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
local shared = beside_peers(peers)
if #shared > 0 then table.insert(tables, layout.peers(shared, peers)) end
print(table.concat(tables, "\n\n"))
os.exit(ok)
