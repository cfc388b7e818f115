-- Where the stored rows changed, in windows of at most a quarter of an hour.
select
    j.instrument,
    least(min(j.event_time), min(j.stored_time) filter (where j.verdict = 'finer')) as from_time,
    greatest(max(j.event_time), max(j.stored_time) filter (where j.verdict = 'finer')) + interval '1 microsecond' as to_time
from judged as j
where j.verdict in ('new', 'finer')
group by j.instrument, date_bin('15 minutes', j.event_time, timestamptz '2000-01-01 00:00:00+00')
order by j.instrument, from_time;
