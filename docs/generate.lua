-- SPDX-License-Identifier: MIT
-- Makes the reference, docs/api.md, of the annotations in types/goroutines.lua.
-- Run in the root of the repository:
--
--   lua5.4 docs/generate.lua > docs/api.md
--   lua5.4 docs/generate.lua --check    status 1 if docs/api.md is stale
--
-- The source is read line by line. Comments are gathered until a line of code,
-- to which they belong, or an empty line. What is read has this shape:
--
--   reference  { sections = list, classes = by name }
--   section    { title, text = lines, entries = list }
--   entry      { title, text = lines, params, results, fields, parts, example }
--   class      an entry, with { name, var, members, operators } by name

local generate = {}

local SOURCE, PAGE = "types/goroutines.lua", "docs/api.md"

-- Parts of an entry's text, by the word that starts them.
local PARTS = {
  Parameters = true, Results = true, Waits = true, Raises = true, Go = true,
}

-- How an operator is written, by its name in annotations.
local OPERATORS = { len = "#%s", pairs = "pairs(%s)", close = "local %s <close>" }

-- Reading: the text of an entry ---------------------------------------------

-- Splits lines into the description, which stays in `entry.text`, the parts
-- and the example.
local function split_text(entry, lines)
  local into, fenced = entry.text, false
  for _, line in ipairs(lines) do
    local word, rest = line:match("^(%a+):%s*(.*)$")
    if line:find("^```") then
      fenced = not fenced
      into = fenced and entry.example or entry.text
    elseif fenced then
      into[#into + 1] = line
    elseif PARTS[word] then
      into = { rest ~= "" and rest or nil }
      entry.parts[word] = into
    else
      into = line == "" and entry.text or into
      into[#into + 1] = line
    end
  end
end

local function trim(lines)
  while lines[#lines] == "" do
    lines[#lines] = nil
  end
  return lines
end

local function new_entry(lines)
  local entry = {
    text = {}, parts = {}, example = {}, params = {}, results = {}, fields = {},
    overloads = {},
  }
  split_text(entry, lines)
  trim(entry.text)
  return entry
end

-- Reading: signatures --------------------------------------------------------

-- "a, b [, c]" of a list of `{ name, optional }`.
local function argument_list(arguments)
  local text, open = "", 0
  for i, argument in ipairs(arguments) do
    if argument.optional then
      text = text .. (i > 1 and " [" or "[")
      open = open + 1
    end
    text = text .. (i > 1 and ", " or "") .. argument.name
  end
  return text .. ("]"):rep(open)
end

-- The same of the arguments in "fun(a: T, b: U): V".
local function arguments_of_type(text)
  local arguments = {}
  for name in text:match("%b()"):gmatch("([%w_.]+)%??%s*:") do
    arguments[#arguments + 1] = { name = name }
  end
  return argument_list(arguments)
end

local function arguments_of_function(entry, text)
  local optional, arguments = {}, {}
  for _, param in ipairs(entry.params) do
    optional[param.name] = param.optional
  end
  for name in text:gmatch("[%w_.]+") do
    arguments[#arguments + 1] = { name = name, optional = optional[name] }
  end
  return argument_list(arguments)
end

-- Reading: tags --------------------------------------------------------------

local function read_named(text)
  local name, mark, kind, rest = text:match("^([%w_.]+)(%??)%s+(%S+)%s*(.*)$")
  assert(name, "cannot read: " .. text)
  return { name = name, optional = mark == "?", type = kind, text = rest }
end

local tags = {}

function tags.class(block, text)
  block.class = {
    name = text:match("^[%w_.]+"), parent = text:match(":%s*([%w_.]+)"),
    text = block.lines,
  }
  block.lines = {}
end

function tags.param(block, text)
  table.insert(block.params, read_named(text))
end

-- The type comes first here.
tags["return"] = function(block, text)
  local kind, name, rest = text:match("^(%S+)%s+(%S+)%s*(.*)$")
  assert(name, "a result without a name: " .. text)
  table.insert(block.results, { name = name, type = kind, text = rest })
end

function tags.field(block, text)
  local field = read_named(text)
  field.above, block.lines = block.lines, {}
  table.insert(block.fields, field)
end

local function add_operator(block, name, text)
  local operator = new_entry(block.lines)
  operator.operator, operator.type, block.lines = name, text, {}
  table.insert(block.operators, operator)
end

function tags.operator(block, text)
  add_operator(block, text:match("^%a+"), text)
end

-- Of a class: that it can be called. Of a function: another way to call it.
function tags.overload(block, text)
  if block.class then
    add_operator(block, "call", text)
  else
    table.insert(block.overloads, text)
  end
end

function tags.type(block, text)
  block.type = text
end

function tags.alias(block, text)
  block.alias, block.type = text:match("^(%S+)%s+(.*)$")
end

tags.meta = function() end

-- Reading: blocks ------------------------------------------------------------

local function new_block()
  return {
    lines = {}, params = {}, results = {}, fields = {}, operators = {},
    overloads = {},
  }
end

local function add_entry(reader, entry)
  local section = assert(reader.section, "an entry before the first section")
  table.insert(section.entries, entry)
end

local function title_of_operator(class, entry)
  if entry.operator == "call" then
    return ("%s(%s)"):format(class.var, arguments_of_type(entry.type))
  end
  return assert(OPERATORS[entry.operator], entry.operator):format(class.var)
end

-- Operators come behind their class.
local function add_operators(reader, class, operators)
  for _, entry in ipairs(operators) do
    entry.title = title_of_operator(class, entry)
    entry.result = entry.type:match("^%a+:%s*(%S+)")
    class.operators[entry.operator] = entry
    add_entry(reader, entry)
  end
end

local function add_class(reader, block, var)
  local class = new_entry(block.class.text)
  class.name, class.var, class.title = block.class.name, var, block.class.name
  class.parent = block.class.parent
  class.fields, class.members, class.operators = block.fields, {}, {}
  reader.reference.classes[class.name] = class
  reader.class_of[var or class.name] = class
  add_entry(reader, class)
  add_operators(reader, class, block.operators)
end

local function add_alias(reader, block)
  local entry = new_entry(block.lines)
  entry.title, entry.type = block.alias, block.type
  add_entry(reader, entry)
end

local function add_member(reader, block, var, name)
  local entry = new_entry(block.lines)
  entry.params, entry.results, entry.type = block.params, block.results, block.type
  reader.class_of[var].members[name] = entry
  add_entry(reader, entry)
  return entry
end

local function add_function(reader, block, var, mark, name, arguments)
  local entry = add_member(reader, block, var, name)
  local path = (reader.class_of[var].prefix or "") .. var .. mark .. name
  entry.is_function, entry.arguments = true, arguments
  entry.title = ("%s(%s)"):format(path, arguments_of_function(entry, arguments))
  for _, text in ipairs(block.overloads) do
    table.insert(entry.overloads, ("%s(%s)"):format(path, arguments_of_type(text)))
  end
end

-- A table of functions inside another: they are called by both names.
local function add_namespace(reader, block, var, name)
  reader.class_of[name].prefix = var .. "."
  local entry = add_member(reader, block, var, name)
  entry.title, entry.is_namespace = var .. "." .. name, true
end

-- The line of code below a block.
local function bind(reader, block, line)
  local var, mark, name, arguments = line:match("^function (%w+)([.:])([%w_]+)%((.*)%) end$")
  if var then
    return add_function(reader, block, var, mark, name, arguments)
  end
  var = line:match("^local (%w+) = {}$")
  if var then
    return add_class(reader, block, var)
  end
  var, name = line:match("^(%w+)%.(%w+) = (%w+)$")
  if var and reader.class_of[name] then
    return add_namespace(reader, block, var, name)
  end
  var, name = line:match("^(%w+)%.([%w_]+) = nil$")
  if var then
    add_member(reader, block, var, name).title = var .. "." .. name
  elseif not line:find("^return ") then
    error("cannot read: " .. line)
  end
end

-- An empty line: what was gathered stands for itself.
local function flush(reader, block)
  if block.class then
    add_class(reader, block)
  elseif block.alias then
    add_alias(reader, block)
  elseif #block.lines > 0 then
    reader.section.text = block.lines
  end
end

local function read_section(reader, title)
  reader.section = { title = title, text = {}, entries = {} }
  table.insert(reader.reference.sections, reader.section)
end

local function read_comment(block, line)
  local tag, rest = line:match("^%-%-%-@(%a+)%s*(.*)$")
  if tag then
    assert(tags[tag], "unknown tag: " .. tag)(block, rest)
    return true
  end
  local text = line:match("^%-%-%- ?(.*)$")
  table.insert(block.lines, text)
  return text ~= nil
end

-- Returns what the lines of annotations say.
function generate.read(lines)
  local reader = { reference = { sections = {}, classes = {} }, class_of = {} }
  local block = new_block()
  for line in lines do
    local title = line:match("^%-%- (.-) %-%-%-+$")
    if title then
      read_section(reader, title)
    elseif line == "" then
      flush(reader, block)
      block = new_block()
    elseif not read_comment(block, line) and not line:find("^%-%-") then
      bind(reader, block, line)
      block = new_block()
    end
  end
  return reader.reference
end

-- Writing --------------------------------------------------------------------

local function put(out, format, ...)
  out[#out + 1] = format:format(...)
end

local function put_lines(out, lines)
  table.move(lines, 1, #lines, #out + 1, out)
end

-- Lines below a heading of their own, and an empty one.
local function put_list(out, heading, lines)
  if #lines > 0 then
    put(out, "**%s**\n", heading)
    put_lines(out, lines)
    put(out, "")
  end
end

local function item(value)
  local text = value.text
  if value.above and #value.above > 0 then
    text = table.concat(value.above, "\n  ")
  end
  return ("- `%s` (`%s`%s)%s"):format(value.name, value.type,
    value.optional and ", optional" or "", text ~= "" and ": " .. text or "")
end

local function items(values)
  local lines = {}
  for _, value in ipairs(values) do
    lines[#lines + 1] = item(value)
  end
  return lines
end

-- A part that is a list stands below its heading, another one beside it.
local function put_part(out, heading, lines)
  if not lines then
    return
  elseif lines[1]:find("^%- ") then
    put_list(out, heading, lines)
  else
    put(out, "**%s:** %s\n", heading, table.concat(lines, "\n"))
  end
end

local function put_values(out, entry)
  put_list(out, "Parameters", items(entry.params))
  put_part(out, "Parameters", entry.parts.Parameters)
  put_list(out, "Results", items(entry.results))
  put_part(out, "Results", entry.parts.Results)
  if entry.result then
    put(out, "**Result:** `%s`\n", entry.result)
  end
  put_list(out, "Fields", items(entry.fields))
end

local function put_example(out, lines)
  if #lines > 0 then
    put(out, "```lua")
    put_lines(out, lines)
    put(out, "```\n")
  end
end

local function put_entry(out, entry)
  put(out, "### `%s`\n", entry.title)
  for _, overload in ipairs(entry.overloads) do
    put(out, "Also `%s`.\n", overload)
  end
  put_lines(out, entry.text)
  put(out, "")
  if not entry.is_function and not entry.operator and entry.type then
    put(out, "**Type:** `%s`\n", entry.type)
  end
  put_values(out, entry)
  put_part(out, "Waits", entry.parts.Waits)
  put_part(out, "Raises", entry.parts.Raises)
  put_part(out, "In Go", entry.parts.Go)
  put_example(out, entry.example)
end

local function put_section(out, section)
  put(out, "## %s\n", section.title)
  if #section.text > 0 then
    put_lines(out, section.text)
    put(out, "")
  end
  for _, entry in ipairs(section.entries) do
    put_entry(out, entry)
  end
end

local function put_contents(out, sections)
  for _, section in ipairs(sections) do
    local titles = {}
    for i, entry in ipairs(section.entries) do
      titles[i] = "`" .. entry.title .. "`"
    end
    put(out, "- [%s](#%s)%s%s", section.title,
      section.title:lower():gsub(" ", "-"), #titles > 0 and ": " or "",
      table.concat(titles, ", "))
  end
  put(out, "")
end

-- Returns the page as text.
function generate.write(reference)
  local out = {}
  put(out, "<!-- Made by docs/generate.lua of types/goroutines.lua. -->\n")
  put(out, "# Reference\n")
  put_contents(out, reference.sections)
  for _, section in ipairs(reference.sections) do
    put_section(out, section)
  end
  return table.concat(trim(out), "\n"):gsub("\n+$", "") .. "\n"
end

-- Running --------------------------------------------------------------------

-- Returns what the annotations of this repository say.
function generate.reference()
  return generate.read(io.lines(SOURCE))
end

-- Returns nothing, or how the page differs from what it should be.
function generate.check()
  local file = io.open(PAGE, "rb")
  local page = file and file:read("a")
  if file then
    file:close()
  end
  if page ~= generate.write(generate.reference()) then
    return ("%s is stale: run `lua5.4 docs/generate.lua > %s`"):format(PAGE, PAGE)
  end
end

local function main(option)
  if not option then
    io.write(generate.write(generate.reference()))
    return
  end
  local message = "the only option is --check"
  if option == "--check" then
    message = generate.check()
  end
  if message then
    io.stderr:write(message, "\n")
    os.exit(1)
  end
end

if ... ~= "docs.generate" then -- not loaded by `require`
  main(...)
end

return generate
