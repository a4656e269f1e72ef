-- Two goroutines hand a ball to and fro over unbuffered channels, one for each
-- direction. A table that is sent arrives as a copy: the ball that the players
-- scratch is never the one that main holds.
--
--   lua5.4 examples/pingpong.lua

local go = require("goroutines")

local function player(name, incoming, outgoing)
  for ball in incoming do
    ball.hits = ball.hits + 1
    print(("%s %d"):format(name, ball.hits))
    if ball.hits == 10 then break end
    outgoing:send(ball)
  end
  outgoing:close()
end

local to_ping, to_pong = go.chan(), go.chan()
local ping = go.spawn(player, "ping", to_ping, to_pong)
local pong = go.spawn(player, "pong", to_pong, to_ping)

local ball = { hits = 0 }
to_ping:send(ball)
assert(ping:join())
assert(pong:join())
print(("game over; the ball of main has %d hits"):format(ball.hits))
