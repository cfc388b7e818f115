-- Landed files whose staged rows nothing needs any more: none of their days waits to be taken in, and none that holds trades waits to
-- be made into bars, unless for longer than staged rows are kept for that.
with behind as materialized (
    select distinct n.day
    from invalidation_days as n
    inner join bar_sources as s on n.instrument = s.instrument and n.relation = s.relation
    left join invalidations_applied as a
        on a.consumer = 'bars_1m' and n.relation = a.relation and n.instrument = a.instrument and n.day = a.day
    where
        n.relation = 'raw_trades' and n.last_id > coalesce(a.applied_through, 0)
        and n.last_logged_at > clock_timestamp() - %(kept_for)s::interval
)

select
    f.file_id,
    f.sha256,
    f.format,
    f.given_instrument,
    f.given_day,
    f.stream
from landing_files as f
where
    (
        %(days)s::date[] is null
        or f.file_id in (select asked.file_id from landing_days as asked where asked.day = any(%(days)s))
    )
    and not exists (
        select 1 from landing_days as d
        where d.file_id = f.file_id and (d.is_pending or (f.stream = 'trades' and d.day in (select behind.day from behind)))
    );
