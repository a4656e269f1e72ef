-- Counts the words of all text files under some directories, one file after
-- the other: what wordcount.lua is compared with. It needs stock Lua only.
--
--   lua5.4 examples/wordcount_sequential.lua [--megabytes N] [DIR...]

local here = arg[0]:match("^.*/") or ""
local common = dofile(here .. "wordcount_common.lua")

local options = common.options(arg)
local plan, bytes = common.plan(options)

local counts = {}
for _, file in ipairs(plan) do common.count_file(file.path, counts) end

common.print_result(counts, options, plan, bytes)
