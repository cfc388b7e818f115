-- Gaps of which some is there by now, or of which it is known better where it lies.
update gaps as g set
    from_time = now.from_time,
    to_time = now.to_time,
    first_missing = now.first_missing,
    last_missing = now.last_missing,
    changed_at = clock_timestamp()
from
    unnest(
        %(gap_ids)s::bigint[], %(froms)s::timestamptz[], %(tos)s::timestamptz[], %(firsts)s::bigint[], %(lasts)s::bigint[]
    ) as now (gap_id, from_time, to_time, first_missing, last_missing)
where g.gap_id = now.gap_id;
