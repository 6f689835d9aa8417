// The batch runner: drives a Verilated stream design from memory to memory. One call is one run from reset; calls in
// several threads are independent. Same file for every design: port widths come in as numbers of bytes.

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>
#include <vector>

#include "Vtop.h"
#include "verilated.h"
#include "verilated_syms.h"

// Mirrored by `_Job` in batch.py. Cycle numbers count from the first input handshake, which is cycle 0.
struct Job {
    const uint8_t* input;  // images × in_beats × in_bytes
    uint8_t* output;       // images × out_beats × out_bytes
    int64_t* first;        // per image: cycle of its first output beat
    int64_t* last;         // per image: cycle of its last output beat
    const uint8_t* source; // repeated for ever: the source may begin to offer in this cycle
    const uint8_t* sink;   // repeated for ever: the sink is ready in this cycle
    const char* scope;     // of the watched signals, as Verilator names it
    const char* const* watched;  // per stream: the names of its valid and of its ready
    const char* const* active;   // per array: the names of its busy and of its fed
    const int64_t* stream_beats; // per stream: beats per image
    int64_t* stream_first; // per stream and image: cycle of the first beat
    int64_t* stream_last;  // per stream and image: cycle of the last beat
    int64_t* usage;        // per array: cycles busy; starved and blocked between its first and its last busy cycle
    int64_t source_cycles, sink_cycles, streams, arrays;
    int64_t images, in_beats, in_bytes, out_beats, out_bytes;
    int64_t idle_limit;    // give up after so many cycles without a handshake
    uint64_t seed;         // of the gaps and, where not 0, of random register contents before reset
    int64_t source_gap;    // chance in 256 that the source pauses in a cycle; once valid, it stays so until taken
    int64_t sink_gap;      // chance in 256 that the sink isn't ready in a cycle
    int64_t sent, received, cycles;        // beats in, beats out, cycles since cycle 0
    int64_t last_errors, frame_errors;     // beats with a wrong tlast; cycles with frame_error
    int64_t done;          // images finished, read by another thread
    int64_t cancel;        // set by another thread
    const uint32_t* load;  // words for s_axis_load, of a design that has it
    int64_t load_words;
};

enum Status { FINISHED = 0, STUCK = 1, CANCELLED = 2, UNSEEN = 3, UNLOADED = 4 };

static constexpr int RESET_CYCLES = 8;
static constexpr int64_t POLL_CYCLES = 4096;

// Marsaglia's xorshift64: any full-period generator does, this one is short.
static uint64_t next_random(uint64_t& state) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

double sc_time_stamp() { return 0; }  // Verilator's library asks for it; no design here reads the time

static bool pauses(uint64_t& state, int64_t chance) {
    return chance > 0 && static_cast<int64_t>(next_random(state) >> 56) < chance;
}

// A stream inside the design: its handshakes are seen through Verilator's symbol table, the hardware stays as it is.
struct Stream {
    const CData* valid;
    const CData* ready;
    int64_t beats, taken;
    int64_t* first;
    int64_t* last;

    void look(int64_t cycle, int64_t images) {
        if (!(*valid & *ready & 1)) return;
        const int64_t image = taken / beats, beat = taken % beats;
        if (image >= images) return;
        if (beat == 0) first[image] = cycle;
        if (beat + 1 == beats) last[image] = cycle;
        taken++;
    }
};

// What an array does: it waits for input, for room behind it, or is busy. Waiting counts only when it ends.
struct Meter {
    const CData* busy;
    const CData* fed;
    int64_t* usage;
    int64_t starved, blocked;  // since the last busy cycle

    void look() {
        if (!(*busy & 1)) {
            (*fed & 1 ? blocked : starved)++;
            return;
        }
        if (usage[0]++) {
            usage[1] += starved;
            usage[2] += blocked;
        }
        starved = blocked = 0;
    }
};

static const CData* find(const Job* job, VerilatedContext* context, const char* name) {
    const VerilatedScope* const scope = context->scopeFind(job->scope);
    const VerilatedVar* const var = scope ? scope->varFind(name) : nullptr;
    return var ? static_cast<const CData*>(var->datap()) : nullptr;
}

static bool find_all(const Job* job, VerilatedContext* context, std::vector<Stream>& streams, std::vector<Meter>& meters) {
    for (int64_t i = 0; i < job->streams; i++) {
        const CData* const valid = find(job, context, job->watched[2 * i]);
        const CData* const ready = find(job, context, job->watched[2 * i + 1]);
        if (!valid || !ready) return false;
        streams.push_back({valid, ready, job->stream_beats[i], 0, job->stream_first + i * job->images, job->stream_last + i * job->images});
    }
    for (int64_t i = 0; i < job->arrays; i++) {
        const CData* const busy = find(job, context, job->active[2 * i]);
        const CData* const fed = find(job, context, job->active[2 * i + 1]);
        if (!busy || !fed) return false;
        meters.push_back({busy, fed, job->usage + 3 * i, 0, 0});
    }
    return true;
}

static void clock(Vtop& dut) {
    dut.aclk = 0;
    dut.eval();
    dut.aclk = 1;
    dut.eval();
}

#ifdef LOADABLE
// Send the words; whether the design then says that it is loaded.
static bool load(Vtop& dut, const Job* job) {
    for (int64_t word = 0, idle = 0; word < job->load_words;) {
        dut.s_axis_load_tvalid = 1;
        dut.s_axis_load_tdata = job->load[word];
        dut.s_axis_load_tlast = word + 1 == job->load_words;
        dut.aclk = 0;
        dut.eval();
        idle = dut.s_axis_load_tready ? 0 : idle + 1;
        word += dut.s_axis_load_tready;
        dut.aclk = 1;
        dut.eval();
        if (idle > job->idle_limit) return false;
    }
    dut.s_axis_load_tvalid = 0;
    for (int64_t cycle = 0; !dut.loaded && cycle < job->idle_limit; cycle++) clock(dut);
    return dut.loaded;
}
#else
static bool load(Vtop&, const Job*) { return true; }
#endif

extern "C" int bwnhw_run(Job* job) {
    const auto context = std::make_unique<VerilatedContext>();
    if (job->seed) {
        context->randReset(2);
        context->randSeed(static_cast<int>(job->seed & 0x7fffffff));
    }
    const auto dut = std::make_unique<Vtop>(context.get());
    uint64_t random = job->seed * 2 + 1;

    std::vector<Stream> streams;
    std::vector<Meter> meters;
    if (!find_all(job, context.get(), streams, meters)) return UNSEEN;

    dut->aresetn = 0;
    dut->s_axis_tvalid = 0;
    dut->m_axis_tready = 0;
    for (int i = 0; i < RESET_CYCLES; i++) clock(*dut);
    dut->aresetn = 1;
    if (!load(*dut, job)) return UNLOADED;

    const int64_t to_send = job->images * job->in_beats;
    const int64_t to_receive = job->images * job->out_beats;
    int64_t cycle = -1;  // no input handshake yet
    int64_t idle = 0, ticks = 0;
    bool offering = false;
    const auto flowing = [job](const Stream& stream) { return stream.taken < job->images * stream.beats; };
    // An image's last words may be of no use to what follows: they leave their stage after the last output.
    while (job->received < to_receive || std::any_of(streams.begin(), streams.end(), flowing)) {
        if (++idle > job->idle_limit) return STUCK;
        if (++ticks % POLL_CYCLES == 0 && __atomic_load_n(&job->cancel, __ATOMIC_RELAXED)) return CANCELLED;

        const int64_t now = cycle < 0 ? 0 : cycle;
        offering = job->sent < to_send && (offering || (job->source[now % job->source_cycles] && !pauses(random, job->source_gap)));
        dut->aclk = 0;
        dut->s_axis_tvalid = offering;
        if (offering) {
            std::memcpy(&dut->s_axis_tdata, job->input + job->sent * job->in_bytes, job->in_bytes);
            dut->s_axis_tlast = (job->sent + 1) % job->in_beats == 0;
        }
        dut->m_axis_tready = job->sink[now % job->sink_cycles] && !pauses(random, job->sink_gap);
        dut->eval();

        if (offering && dut->s_axis_tready) {
            if (cycle < 0) cycle = 0;
            job->sent++;
            offering = false;
            idle = 0;
        }
        if (dut->m_axis_tvalid && dut->m_axis_tready) {
            const int64_t image = job->received / job->out_beats, beat = job->received % job->out_beats;
            const bool is_last = beat + 1 == job->out_beats;
            std::memcpy(job->output + job->received * job->out_bytes, &dut->m_axis_tdata, job->out_bytes);
            job->last_errors += static_cast<bool>(dut->m_axis_tlast) != is_last;
            if (beat == 0) job->first[image] = cycle;
            if (is_last) {
                job->last[image] = cycle;
                __atomic_store_n(&job->done, image + 1, __ATOMIC_RELAXED);
            }
            job->received++;
            idle = 0;
        }
        for (Stream& stream : streams) stream.look(cycle, job->images);
        for (Meter& meter : meters) meter.look();
        job->frame_errors += dut->frame_error;
        dut->aclk = 1;
        dut->eval();
        if (cycle >= 0) cycle++;
    }
    job->cycles = cycle;
    dut->final();
    return FINISHED;
}
