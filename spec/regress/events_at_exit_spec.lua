-- While main's end waited for a goroutine in a long C call, an event came for a
-- processor whose worker had ended: the monitor asked for the CPU time of a
-- thread that was gone. One run in five crashed.

local helper = require("spec.helper")

it("events that come while the process ends do no harm", function()
  for _ = 1, 4 do
    helper.output({ [=[
      local go = require("goroutines")
      go.configure({ time_slice = 1 })
      local ports, ch = {}, go.chan(14)
      for i = 1, 14 do
        go(function()
          local stop = go.now() + 0.3
          while go.now() < stop do end -- each on a processor of its own
          local udp = assert(go.net.udp("127.0.0.1"))
          udp:receive(0.001)
          ch:send(udp:port())
          while true do end
        end)
      end
      for i = 1, 14 do ports[i] = ch:recv() end
      go(function() string.find(("a"):rep(40), ("a*"):rep(40) .. "b") end)
      os.execute(([[lua5.4 -e '
        local socket = require("socket")
        local udp = socket.udp()
        for i = 1, 40 do
          for _, port in ipairs({ %s }) do udp:sendto("x", "127.0.0.1", port) end
          socket.sleep(0.02)
        end' > /dev/null 2>&1 &]]):format(table.concat(ports, ",")))
      go.sleep(0.3)
      os.exit(0)
    ]=], env = { GOROUTINES_PROCS = 16 } })
  end
end)
