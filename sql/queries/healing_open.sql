-- The gaps that are open, or being healed; only some of them where they are named.
select g.gap_id
from gaps as g
where g.state in ('open', 'healing') and (%(gap_ids)s::bigint[] is null or g.gap_id = any(%(gap_ids)s::bigint[]))
order by g.gap_id;
