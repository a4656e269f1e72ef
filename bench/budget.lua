-- Instructions per operation, as bench/count.lua counts them (x86-64, Debian 12,
-- release build). A change that makes one grow by more than 5 % changes it here.
return {
  spawn = 22600,
  spawn_full = 68000,
  yield = 580,
  pingpong = 2950,
  stream = 1220,
  select = 1740,
  mutex = 780,
  timer = 7000,
  struct = 7900,
}
