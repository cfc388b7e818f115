-- Marks the recomputed bars that lie where the tape is whole.
update fresh_bars as b
set is_complete = true
where %(whole)s::tstzmultirange @> tstzrange(b.bar_start, b.bar_start + interval '1 minute');
