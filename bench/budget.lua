-- Instructions per operation, as bench/count.lua counts them (x86-64, Debian 12,
-- release build). A change that makes one grow by more than 5 % changes it here.
return {
  spawn = 22500,
  spawn_full = 68000,
  yield = 570,
  pingpong = 2900,
  stream = 1220,
  select = 1730,
  mutex = 770,
  timer = 8500,
  struct = 7900,
}
