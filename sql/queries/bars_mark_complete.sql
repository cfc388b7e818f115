-- Marks the recomputed bars of a window that lie where the tape is whole.
update fresh_bars as b
set is_complete = true
where
    b.bar_start >= %(from_time)s and b.bar_start < %(to_time)s
    and %(whole)s::tstzmultirange @> tstzrange(b.bar_start, b.bar_start + interval '1 minute');
