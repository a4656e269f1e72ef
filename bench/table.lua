-- The lay-out of the benchmark's tables, in aligned Markdown.

local layout = {}

function layout.median(values)
  local sorted = table.move(values, 1, #values, 1, {})
  table.sort(sorted)
  local middle = #sorted // 2
  if #sorted % 2 == 1 then return sorted[middle + 1] end
  return (sorted[middle] + sorted[middle + 1]) / 2
end

function layout.with_commas(digits)
  local groups = digits:reverse():gsub("%d%d%d", "%0,"):reverse()
  return (groups:gsub("^,", ""))
end

-- Three digits, or all that are before the point.
local function number(value)
  if value < 9.995 then return ("%.2f"):format(value) end
  if value < 99.95 then return ("%.1f"):format(value) end
  return layout.with_commas(("%.0f"):format(value))
end

local function spread(values)
  local least = math.min(table.unpack(values))
  local greatest = math.max(table.unpack(values))
  return (" (%s..%s)"):format(number(least), number(greatest))
end

-- The median of a list of values as text, which may be nil.
function layout.cell(values)
  if not values then return "·" end
  return number(layout.median(values)) .. (layout.spread and spread(values) or "")
end

local function ratio(ours, theirs)
  if not ours or not theirs then return "·" end
  local quotient = layout.median(ours) / layout.median(theirs)
  return (quotient < 0.0995 and "%.3f" or "%.2f"):format(quotient)
end

local function row_of(figure)
  local row = { figure.name, figure.unit }
  for _, measured in ipairs(figure) do
    table.insert(row, layout.cell(measured.ours))
    table.insert(row, layout.cell(measured.go))
    table.insert(row, ratio(measured.ours, measured.go))
  end
  return row
end

local function transfer_row_of(figure)
  local measured = figure[1]
  return {
    figure.name, figure.unit, layout.cell(measured.ours),
    layout.cell(measured.cjson), ratio(measured.ours, measured.cjson),
    layout.cell(measured.go), ratio(measured.ours, measured.go),
  }
end

local function peers_row_of(peers)
  return function(figure)
    local procs = figure.peers_procs
    local measured = figure[procs]
    local row = {
      figure.name, figure.unit, tostring(procs), layout.cell(measured.ours),
      layout.cell(measured.go),
    }
    for _, peer in ipairs(peers) do
      local values = measured[peer.key]
      table.insert(row, values and layout.cell(values) or "")
    end
    return row
  end
end

local function widths_of(rows)
  local widths = {}
  for _, row in ipairs(rows) do
    for i, text in ipairs(row) do
      widths[i] = math.max(widths[i] or 0, utf8.len(text))
    end
  end
  return widths
end

-- The first two columns are words, the others numbers.
local function line_of(row, widths)
  local cells = {}
  for i, text in ipairs(row) do
    local blanks = (" "):rep(widths[i] - utf8.len(text))
    cells[i] = i <= 2 and text .. blanks or blanks .. text
  end
  return "| " .. table.concat(cells, " | ") .. " |"
end

local function rule_of(widths)
  local cells = {}
  for i, width in ipairs(widths) do
    cells[i] = i <= 2 and ("-"):rep(width) or ("-"):rep(width - 1) .. ":"
  end
  return "| " .. table.concat(cells, " | ") .. " |"
end

-- Returns a table of rows of texts, of which the first is the head.
function layout.rows(rows)
  local widths = widths_of(rows)
  local lines = {}
  for i, cells in ipairs(rows) do lines[i] = line_of(cells, widths) end
  table.insert(lines, 2, rule_of(widths))
  return table.concat(lines, "\n")
end

local function markdown(head, figures, row)
  local rows = { head }
  for _, figure in ipairs(figures) do table.insert(rows, row(figure)) end
  return layout.rows(rows)
end

-- Returns the table of a list of figures: { name =, unit =, [procs] = values }
-- for 1 and 2 processors, where values are { ours = list, go = list }. With
-- layout.spread, the least and the greatest value stand beside each median.
function layout.markdown(figures)
  return markdown({
    "figure", "unit", "ours, 1", "Go, 1", "ours/Go", "ours, 2", "Go, 2",
    "ours/Go",
  }, figures, row_of)
end

-- The same for the figures of transfer: 1 processor, and values of cjson too.
function layout.transfer(figures)
  return markdown({
    "figure", "unit", "ours", "cjson", "ours/cjson", "Go", "ours/Go",
  }, figures, transfer_row_of)
end

-- The same for figures of peers, { key =, title = } each, on `peers_procs`
-- processors.
function layout.peers(figures, peers)
  local head = { "figure", "unit", "processors", "ours", "Go" }
  for _, peer in ipairs(peers) do table.insert(head, peer.title) end
  return markdown(head, figures, peers_row_of(peers))
end

return layout
