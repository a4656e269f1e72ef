-- Draws small plots beside each other as the text of an SVG file: logarithmic x,
-- linear y from 0.

local layout = dofile((arg[0]:match("^.*/") or "") .. "table.lua")

local COLUMNS, WIDTH, HEIGHT, FOOT = 3, 330, 280, 28
local LEFT, RIGHT, TOP, BOTTOM = 72, 28, 72, 48 -- margins of a plot in its cell
local COLORS = { "#1f5fa8", "#b8500f" }

-- Its own background: the text is dark wherever the picture is shown.
local HEAD = [[
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" role="img"
  aria-label="%s" font-family="sans-serif" font-size="12" fill="#222">
<rect width="100%%" height="100%%" fill="#fff"/>]]

local function escaped(text)
  return (text:gsub("[&<>\"]", {
    ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;",
  }))
end

local function text_at(x, y, text, attributes)
  return ('<text x="%.1f" y="%.1f" %s>%s</text>'):format(
    x, y, attributes or "", escaped(text))
end

local function line(x1, y1, x2, y2, color)
  return ('<path d="M%.1f %.1fL%.1f %.1f" stroke="%s"/>'):format(
    x1, y1, x2, y2, color)
end

-- A shape for each line, for whom the colours look alike.
local function marker(i, x, y)
  if i == 1 then
    return ('<circle cx="%.1f" cy="%.1f" r="4" fill="%s"/>'):format(x, y, COLORS[i])
  end
  return ('<rect x="%.1f" y="%.1f" width="7" height="7" fill="%s"/>'):format(
    x - 3.5, y - 3.5, COLORS[i])
end

-- The distance of round ticks, of which there are three to six up to the value.
local function step_for(greatest)
  local power = 10 ^ math.floor(math.log(greatest, 10))
  for _, step in ipairs({ power / 5, power / 2, power }) do
    if greatest / step <= 5 then return step end
  end
  return 2 * power
end

-- Functions from sizes and values to the place in the cell, and the ticks of y.
local function scales(plot)
  local greatest = 0
  for _, one in ipairs(plot.lines) do
    for _, point in ipairs(one.points) do
      greatest = math.max(greatest, point.y)
    end
  end
  local step = step_for(greatest > 0 and greatest or 1)
  local ticks = math.max(1, math.ceil(greatest / step))
  local least, most = math.log(plot.sizes[1]), math.log(plot.sizes[#plot.sizes])
  local function x_of(size)
    local share = most > least and (math.log(size) - least) / (most - least) or 0
    return LEFT + share * (WIDTH - LEFT - RIGHT)
  end
  local function y_of(value)
    return HEIGHT - BOTTOM - value / (ticks * step) * (HEIGHT - TOP - BOTTOM)
  end
  return x_of, y_of, step, ticks
end

local function draw_axes(out, plot, x_of, y_of, step, ticks)
  local bottom, middle = HEIGHT - BOTTOM, (LEFT + WIDTH - RIGHT) / 2
  for i = 0, ticks do
    local y = y_of(i * step)
    out(line(LEFT, y, WIDTH - RIGHT, y, i == 0 and "#222" or "#ddd"))
    local label = step < 1 and ("%g"):format(i * step)
      or layout.with_commas(("%.0f"):format(i * step))
    out(text_at(LEFT - 8, y + 4, label, 'text-anchor="end"'))
  end
  for _, size in ipairs(plot.sizes) do
    out(line(x_of(size), bottom, x_of(size), bottom + 4, "#222"))
    out(text_at(x_of(size), bottom + 18, layout.with_commas(tostring(size)),
      'text-anchor="middle"'))
  end
  out(text_at(middle, bottom + 37, plot.x, 'text-anchor="middle"'))
  local y = (TOP + bottom) / 2
  out(text_at(14, y, plot.y,
    ('text-anchor="middle" transform="rotate(-90 14 %.1f)"'):format(y)))
end

local function draw_line(out, i, one, x_of, y_of)
  local places = {}
  for j, point in ipairs(one.points) do
    places[j] = ("%.1f %.1f"):format(x_of(point.x), y_of(point.y))
  end
  if #places > 1 then
    out(('<path d="M%s" fill="none" stroke="%s" stroke-width="2"/>'):format(
      table.concat(places, "L"), COLORS[i]))
  end
  for _, point in ipairs(one.points) do
    out(marker(i, x_of(point.x), y_of(point.y)))
  end
end

local function draw(out, plot)
  local x_of, y_of, step, ticks = scales(plot)
  out(text_at(LEFT, 24, plot.title, 'font-size="14" font-weight="bold"'))
  draw_axes(out, plot, x_of, y_of, step, ticks)
  for i, one in ipairs(plot.lines) do
    local y = 26 + 17 * i
    out(marker(i, LEFT + 4, y - 4))
    out(text_at(LEFT + 14, y, one.label))
    draw_line(out, i, one, x_of, y_of)
  end
end

-- The text of a picture of plots { title =, x =, y =, sizes =, lines = }, where x
-- and y are the axes' labels, and a line, of which there are one or two, is
-- { label =, points = { { x =, y = }, ... } }.
return function(title, plots, foot)
  local lines = {}
  local function out(text) lines[#lines + 1] = text end
  local height = (#plots + COLUMNS - 1) // COLUMNS * HEIGHT + FOOT
  out(HEAD:format(COLUMNS * WIDTH, height, escaped(title)))
  for i, plot in ipairs(plots) do
    out(('<g transform="translate(%d %d)">'):format(
      (i - 1) % COLUMNS * WIDTH, (i - 1) // COLUMNS * HEIGHT))
    draw(out, plot)
    out("</g>")
  end
  out(text_at(LEFT, height - 10, foot, 'fill="#555"'))
  out("</svg>\n")
  return table.concat(lines, "\n")
end
