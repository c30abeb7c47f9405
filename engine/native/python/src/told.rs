//! What Python is told, as plain tuples.

use callfleet_media::{
    DownFigures, DownState, LayerFigures, LayerState, Outcome, Report, Told, TrackState,
};
use pyo3::prelude::*;
use pyo3::types::PyTuple;

/// Sent, arrived or not, size.
pub(crate) type PyOutcome = (f64, Option<f64>, usize);
/// Index, RID, whether it is sent, bit rate.
pub(crate) type PyLayer = (usize, String, bool, f64);
/// Publisher, track, layers, payload type, loudest level.
pub(crate) type PyTrack = (u64, u32, Vec<PyLayer>, Option<u8>, u8);
/// Layer, target, a payload type that is not taken.
pub(crate) type PyDownState = (Option<usize>, Option<usize>, Option<u8>);
/// Subscriber, bytes sent, reports.
pub(crate) type PyReports<'py> = (u64, u64, Vec<Bound<'py, PyTuple>>);
/// Tracks, packets to estimate from by publisher, reports, down tracks by subscriber and number.
pub(crate) type PyTold<'py> =
    (Vec<PyTrack>, Vec<(u64, Vec<PyOutcome>)>, Vec<PyReports<'py>>, Vec<(u64, usize, PyDownState)>);
/// Track, RID, SSRC, packets, bytes, lost, jitter, NACKs, PLIs.
pub(crate) type PyLayerFigures = (u32, String, u32, u64, u64, i64, f64, u64, u64);
/// Packets, bytes, sent again, NACKs, PLIs, lost, jitter in units of the timestamp, round trip.
pub(crate) type PyDownFigures = (u64, u64, u64, u64, u64, Option<i64>, Option<u32>, Option<f64>);

fn outcomes(outcomes: &[Outcome]) -> Vec<PyOutcome> {
    outcomes.iter().map(|each| (each.sent, each.arrived, each.size)).collect()
}

fn layer(state: LayerState) -> PyLayer {
    (state.index, state.rid, state.live, state.bitrate)
}

fn track(((publisher, track), state): ((u64, u32), TrackState)) -> PyTrack {
    let layers = state.layers.into_iter().map(layer).collect();
    (publisher, track, layers, state.payload_type, state.loudest)
}

pub(crate) fn down(state: &DownState) -> PyDownState {
    (state.layer, state.target, state.untaken)
}

fn report<'py>(py: Python<'py>, report: &Report) -> PyResult<Bound<'py, PyTuple>> {
    match report {
        Report::Outcomes(now, told) => ("outcomes", *now, outcomes(told)).into_pyobject(py),
        Report::FractionLost(now, fraction) => ("lost", *now, *fraction).into_pyobject(py),
        Report::Remb(now, bitrate) => ("remb", *now, *bitrate).into_pyobject(py),
        Report::RoundTrip(seconds) => ("round_trip", 0.0, *seconds).into_pyobject(py),
    }
}

pub(crate) fn told<'py>(py: Python<'py>, told: Told) -> PyResult<PyTold<'py>> {
    let reports = told.reports.iter().map(|(subscriber, bytes, reports)| {
        let reports = reports.iter().map(|each| report(py, each)).collect::<PyResult<_>>()?;
        Ok((*subscriber, *bytes, reports))
    });
    Ok((
        told.tracks.into_iter().map(track).collect(),
        told.noted.iter().map(|(publisher, noted)| (*publisher, outcomes(noted))).collect(),
        reports.collect::<PyResult<_>>()?,
        told.downs.iter().map(|((of, number), state)| (*of, *number, down(state))).collect(),
    ))
}

pub(crate) fn layer_figures(figures: LayerFigures) -> PyLayerFigures {
    (
        figures.track,
        figures.rid,
        figures.ssrc,
        figures.packets_received,
        figures.bytes_received,
        figures.packets_lost,
        figures.jitter,
        figures.nack_count,
        figures.pli_count,
    )
}

pub(crate) fn down_figures(figures: &DownFigures) -> PyDownFigures {
    (
        figures.packets_sent,
        figures.bytes_sent,
        figures.retransmitted,
        figures.nack_count,
        figures.pli_count,
        figures.remote.map(|report| report.packets_lost),
        figures.remote.map(|report| report.jitter),
        figures.round_trip_time,
    )
}
