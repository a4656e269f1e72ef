-- The command that runs this interpreter.
local i = 0
while arg[i - 1] do i = i - 1 end
return arg[i]
