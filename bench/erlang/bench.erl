%% The cases of the benchmark for Erlang, by the names of those in ../cases for
%% Lua: bench:main([Case, Scale]) prints its figures as lines `name value unit`,
%% where Scale multiplies how often or how long it does what it measures.
%% bench:main() prints which cases there are.
-module(bench).
-export([main/0, main/1]).

cases() ->
    #{"spawn_join" => fun spawn_join/1,
      "spawn_many" => fun spawn_many/1,
      "pingpong" => fun pingpong/1,
      "stream_int" => fun stream_int/1,
      "select2" => fun select2/1,
      "yield" => fun yield/1,
      "parked_memory" => fun parked_memory/1,
      "parallel_speedup" => fun parallel_speedup/1,
      "sleeper" => fun sleeper/1,
      "sleepers" => fun sleepers/1,
      "atomic" => fun atomic/1,
      "transfer" => fun transfer/1}.

main() ->
    [io:format("~s~n", [Name]) || Name <- maps:keys(cases())],
    halt(0).

main([Name]) ->
    main([Name, "1"]);
main([Name, Scale]) ->
    (maps:get(Name, cases()))(number(Scale)),
    halt(0).

number(Text) ->
    case string:to_float(Text) of
        {error, _} -> list_to_integer(Text);
        {Number, _} -> Number
    end.

%% What the cases share.

times(N, Scale) ->
    max(1, trunc(N * Scale)).

report(Name, Value, Unit) ->
    io:format("~s ~.3f ~s~n", [Name, float(Value), Unit]).

report_ns(Name, Seconds, Times) ->
    report(Name, Seconds / Times * 1.0e9, "ns").

report_late(Prefix, Late) ->
    Sorted = list_to_tuple(lists:sort(Late)),
    Rank = fun(P) -> element(ceil(P * tuple_size(Sorted)), Sorted) * 1.0e6 end,
    report(Prefix ++ "p50", Rank(0.5), "us"),
    report(Prefix ++ "p99", Rank(0.99), "us"),
    report(Prefix ++ "max", Rank(1), "us").

now_s() ->
    erlang:monotonic_time(nanosecond) / 1.0e9.

seconds(F) ->
    Start = now_s(),
    F(),
    now_s() - Start.

average_seconds(F, Scale) ->
    average_seconds(F, 0.5 * Scale, now_s(), 1).

average_seconds(F, Limit, Start, Calls) ->
    F(),
    case now_s() - Start of
        Seconds when Seconds >= Limit -> Seconds / Calls;
        _ -> average_seconds(F, Limit, Start, Calls + 1)
    end.

repeat(0, _) -> ok;
repeat(N, F) -> F(), repeat(N - 1, F).

start_all(Functions) ->
    [spawn_monitor(F) || F <- Functions].

join({_, Monitor}) ->
    receive {'DOWN', Monitor, process, _, normal} -> ok end.

%% How long the functions take, all in processes at once.
seconds_of_all(Functions) ->
    seconds(fun() -> lists:foreach(fun join/1, start_all(Functions)) end).

nothing() -> ok.

%% Processes that only start and end.

spawn_join(Scale) ->
    Processes = 1000,
    Round = fun() ->
        repeat(Processes, fun() -> join(spawn_monitor(fun nothing/0)) end)
    end,
    report_ns("spawn_join", average_seconds(Round, Scale), Processes).

spawn_many(Scale) ->
    Processes = 10000,
    All = lists:duplicate(Processes, fun nothing/0),
    Round = fun() -> seconds_of_all(All) end,
    Round(), % the first one pays for memory that the others reuse
    report_ns("spawn_many", average_seconds(Round, Scale), Processes).

parked_memory(Scale) ->
    N = times(100000, Scale),
    Before = resident_bytes(),
    Start = now_s(),
    Main = self(),
    Park = fun() -> Main ! arrived, receive go_on -> ok end end,
    All = [spawn(Park) || _ <- lists:seq(1, N)],
    repeat(N, fun() -> receive arrived -> ok end end),
    Create = now_s() - Start,
    timer:sleep(50), % the last ones are before receive
    Grown = resident_bytes() - Before,
    Parked = erlang:system_info(process_count),
    Release = seconds(fun() ->
        [Pid ! go_on || Pid <- All],
        wait_for_count(Parked - N)
    end),
    report("parked_memory", Grown / N, "bytes"),
    report_ns("parked_create", Create, N),
    report_ns("parked_release", Release, N).

resident_bytes() ->
    {ok, Status} = file:read_file("/proc/self/status"),
    {match, [Kilobytes]} =
        re:run(Status, "VmRSS:\\s*(\\d+)", [{capture, [1], list}]),
    list_to_integer(Kilobytes) * 1024.

wait_for_count(N) ->
    case erlang:system_info(process_count) of
        Count when Count > N -> timer:sleep(1), wait_for_count(N);
        _ -> ok
    end.

%% Messages, and what is shared.

pingpong(Scale) ->
    N = times(300000, Scale),
    Ping = fun() ->
        Pong = spawn_link(fun pong/0),
        repeat(N, fun() ->
            Pong ! {self(), 1},
            receive {Pong, _} -> ok end
        end),
        Pong ! stop
    end,
    report_ns("pingpong", seconds_of_all([Ping]), N).

pong() ->
    receive
        {From, I} -> From ! {self(), I}, pong();
        stop -> ok
    end.

produce(_, _, 0) -> ok;
produce(To, Tag, N) -> To ! {Tag, N}, produce(To, Tag, N - 1).

stream_int(Scale) ->
    N = times(2000000, Scale),
    Consume = fun() ->
        Self = self(),
        spawn_link(fun() -> produce(Self, item, N) end),
        repeat(N, fun() -> receive {item, _} -> ok end end)
    end,
    report_ns("stream_int", seconds_of_all([Consume]), N).

select2(Scale) ->
    N = times(1000000, Scale),
    Consume = fun() ->
        Self = self(),
        [spawn_link(fun() -> produce(Self, Tag, N div 2) end) || Tag <- [a, b]],
        repeat(N div 2 * 2, fun() ->
            receive
                {a, _} -> ok;
                {b, _} -> ok
            end
        end)
    end,
    report_ns("select2", seconds_of_all([Consume]), N).

%% What a process sends to itself is not copied, so that another one receives.
transfer(Scale) ->
    Messages = 1000,
    Main = self(),
    Receiver = spawn_link(fun() -> take(Main, Messages) end),
    Value = #{id => 1, name => list_to_binary("abc"), tags => lists:seq(1, 3)},
    Batch = fun() ->
        repeat(Messages, fun() -> Receiver ! Value end),
        receive taken -> ok end
    end,
    report_ns("transfer_struct", average_seconds(Batch, Scale), Messages).

take(Main, Messages) ->
    repeat(Messages, fun() -> receive #{id := _} -> ok end end),
    Main ! taken,
    take(Main, Messages).

atomic(Scale) ->
    Ref = atomics:new(1, []),
    Add = fun(N) ->
        fun() -> repeat(N, fun() -> atomics:add(Ref, 1, 1) end) end
    end,
    N = times(4000000, Scale),
    report_ns("atomic", seconds_of_all([Add(N)]), N),
    M = times(1000000, Scale),
    All = lists:duplicate(4, Add(M)),
    report_ns("atomic_contended", seconds_of_all(All), 4 * M).

%% The scheduler.

yield(Scale) ->
    N = times(1000000, Scale),
    GiveWay = fun() -> repeat(N, fun() -> erlang:yield() end) end,
    report_ns("yield", seconds_of_all([GiveWay, GiveWay]), 2 * N).

fib(N) when N < 2 -> N;
fib(N) -> fib(N - 1) + fib(N - 2).

parallel_speedup(_) ->
    Work = fun() -> fib(38) end,
    InTurn = seconds_of_all([Work]) + seconds_of_all([Work]),
    AtOnce = seconds_of_all([Work, Work]),
    report("parallel_speedup", InTurn / AtOnce, "x").

hog() -> hog().

sleeper(Scale) ->
    N = times(1000, Scale),
    report_late("sleeper_0hogs_", sleep_often(N)),
    [spawn(fun hog/0) || _ <- [1, 2]],
    report_late("sleeper_2hogs_", sleep_often(N)).

%% By how many seconds each sleep was late.
sleep_often(N) ->
    sleep_often(N, now_s() + 2.5, []).

sleep_often(0, _, Late) -> Late;
sleep_often(N, Stop, Late) ->
    case now_s() < Stop of
        true -> sleep_often(N - 1, Stop, [sleep_late(1) | Late]);
        false -> Late
    end.

sleep_late(Milliseconds) ->
    seconds(fun() -> timer:sleep(Milliseconds) end) - Milliseconds / 1000.

sleepers(Scale) ->
    N = times(100000, Scale),
    Main = self(),
    Sleeper = fun(I) ->
        Main ! arrived,
        receive go_on -> ok end,
        Main ! {late, [sleep_late((I * 7919 + J * 104729) rem 900 + 100)
                       || J <- [1, 2, 3]]}
    end,
    All = [spawn(fun() -> Sleeper(I) end) || I <- lists:seq(1, N)],
    repeat(N, fun() -> receive arrived -> ok end end),
    {Before, _} = erlang:statistics(runtime),
    [Pid ! go_on || Pid <- All],
    Late = collect(N, []),
    {After, _} = erlang:statistics(runtime),
    report_ns("sleepers_cpu", (After - Before) / 1000, 3 * N),
    report_late("sleepers_", Late).

collect(0, Late) -> Late;
collect(N, Late) -> receive {late, Three} -> collect(N - 1, Three ++ Late) end.
