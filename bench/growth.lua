-- How costs grow with the number of waiters, timers, goroutines, connections and
-- processors: prints tables of medians and draws them. Each size is measured in a
-- program of its own, which is this one with the case and the size. See README.md.
--
--   lua5.4 bench/growth.lua [--runs N] [--max N] [--svg PATH]
--   lua5.4 bench/growth.lua CASE N

local here = arg[0]:match("^.*/") or ""
local cases = dofile(here .. "growth_cases.lua")
local interpreter = dofile(here .. "interpreter.lua")
local layout = dofile(here .. "table.lua")
local picture = dofile(here .. "svg.lua")

local SIZES = { 10, 100, 1000, 10000, 100000 }
local MOST_CONNECTIONS = 10000
local TIME_LIMIT_S = 120

local PROCS = os.getenv("GOROUTINES_PROCS") or "1"

-- With as many descriptors as are allowed, which the module does not ask for.
local COMMAND = 'ulimit -Sn "$(ulimit -Hn)"; GOROUTINES_PROCS=%s timeout %d %s %s %s %d'

local USAGE = [[
usage: lua5.4 bench/growth.lua [--runs N] [--max N] [--svg PATH]
       lua5.4 bench/growth.lua CASE N
  --runs N    runs of each size, of which the median is shown (5)
  --max N     sizes up to this one only, of all but processors (100000)
  --svg PATH  where the picture goes (docs/growth.svg)
]]

local PLOTS = {
  { case = "waiters", title = "Waiters on a channel", x = "goroutines that wait on it",
    lines = {
      { figure = "waiters_wakeup", label = "wake one of them by a send" },
      { figure = "waiters_other_channel", label = "send and receive on another one" },
    } },
  { case = "timers", title = "Timers", x = "timers that are set",
    lines = { { figure = "timers_set_stop", label = "set and stop one more" } } },
  { case = "goroutines", title = "Goroutines", x = "goroutines that wait",
    lines = { { figure = "goroutines_spawn_join", label = "start one more and join it" } } },
  { case = "connections", title = "Connections", x = "connections that are idle",
    most = MOST_CONNECTIONS,
    lines = { { figure = "connections_echo", label = "64 bytes to and fro on another one" } } },
  { case = "processors", title = "Processors", x = "processors", sizes = { 1, 2, 4, 8 },
    lines = {
      { figure = "processors_spawn_join", label = "start a goroutine and join it" },
      { figure = "processors_pingpong", label = "round trip of two goroutines" },
    } },
}

local function say(message, ...)
  io.stderr:write("bench: ", message:format(...), "\n")
end

local function usage()
  io.stderr:write(USAGE)
  os.exit(arg[1] == "--help" and 0 or 2)
end

local function parsed_options()
  local options = { runs = 5, max = SIZES[#SIZES], svg = here .. "../docs/growth.svg" }
  for i = 1, #arg, 2 do
    local name, value = (arg[i]:match("^%-%-(%l+)$")), arg[i + 1]
    if name ~= "svg" then value = math.tointeger(tonumber(value)) end
    if not options[name] or not value then usage() end
    options[name] = value
  end
  if options.runs < 1 or options.max < SIZES[1] then usage() end
  return options
end

-- Whether a process may have so many connections, each with both its ends.
local function fits(connections)
  local pipe <close> = assert(io.popen("ulimit -Hn"))
  local limit = tonumber(pipe:read("l")) or math.huge -- "unlimited"
  if 2 * connections + 100 <= limit then return true end
  say("%d connections are left out: no more than %d descriptors are allowed",
    connections, limit)
  return false
end

-- Sets which sizes of a plot are measured, and a place for what is.
local function prepare(plot, max)
  local sizes = {}
  for _, size in ipairs(plot.sizes or SIZES) do
    local wanted = plot.sizes or size <= math.min(max, plot.most or max)
    if wanted and (not plot.most or fits(size)) then table.insert(sizes, size) end
  end
  plot.columns, plot.y = plot.sizes or SIZES, "time, ns"
  plot.sizes, plot.measured = sizes, {}
  for _, one in ipairs(plot.lines) do plot.measured[one.figure] = {} end
end

-- Adds the figures of one run of a size to those of the plot, as lists by size.
local function measure(plot, size)
  local command = COMMAND:format(PROCS, TIME_LIMIT_S, interpreter, arg[0], plot.case, size)
  local pipe = assert(io.popen(command))
  for text in pipe:lines() do
    local name, value = text:match("^(%S+) (%S+) ns$")
    local by_size = assert(plot.measured[name], text)
    by_size[size] = by_size[size] or {}
    table.insert(by_size[size], tonumber(value))
  end
  if pipe:close() then return true end
  say("failed: %s", command)
  return false
end

-- One run of every size.
local function round()
  local ok = true
  for _, plot in ipairs(PLOTS) do
    for _, size in ipairs(plot.sizes) do ok = measure(plot, size) and ok end
  end
  return ok
end

-- The table of those plots that have the same columns.
local function table_of(columns)
  local rows = { { "figure", "unit" } }
  for _, size in ipairs(columns) do
    table.insert(rows[1], layout.with_commas(tostring(size)))
  end
  for _, plot in ipairs(PLOTS) do
    for _, one in ipairs(plot.columns == columns and plot.lines or {}) do
      local row = { one.figure, "ns" }
      for _, size in ipairs(columns) do
        table.insert(row, layout.cell(plot.measured[one.figure][size]))
      end
      table.insert(rows, row)
    end
  end
  return layout.rows(rows)
end

local function draw(options)
  for _, plot in ipairs(PLOTS) do
    for _, one in ipairs(plot.lines) do
      one.points = {}
      for _, size in ipairs(plot.sizes) do
        local values = plot.measured[one.figure][size]
        if values then
          table.insert(one.points, { x = size, y = layout.median(values) })
        end
      end
    end
  end
  local foot = ("Medians of %d runs with GOROUTINES_PROCS=%s, but for the last plot."):format(
    options.runs, PROCS)
  local file <close> = assert(io.open(options.svg, "w"))
  assert(file:write(picture("How costs grow", PLOTS, foot)))
end

if cases[arg[1]] then
  cases[arg[1]](math.tointeger(tonumber(arg[2])) or usage())
  os.exit()
end

local options = parsed_options()
for _, plot in ipairs(PLOTS) do prepare(plot, options.max) end
local ok = true
for run = 1, options.runs do
  say("run %d of %d", run, options.runs)
  ok = round() and ok
end
print(table_of(SIZES) .. "\n\n" .. table_of(PLOTS[#PLOTS].columns))
draw(options)
os.exit(ok)
