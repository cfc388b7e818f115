-- From the first to the last venue bar that changed, per instrument.
select
    j.instrument,
    min(j.bar_start) as from_time,
    max(j.bar_start) + interval '1 microsecond' as to_time
from judged_bars as j
where j.verdict in ('new', 'closed')
group by j.instrument;
