// A hand-written stand-in for a generated design: `threshold` element by element, one stage, one register, any size.
// BUG plants a fault: 1 payload changes while stalled, 2 valid isn't held, 3 wrong tlast, 4 a beat lost, 5 a wrong value,
// 6 stops for ever, 7 frames shift on a wrong tlast, 8 valid during reset, 9 frame_error never, 10 the stage's stream is wrong,
// 11 not everything is reset.
module dummy #(parameter LANES = 2, BITS = 3, BEATS = 12, T = 3, BUG = 0) (
    input aclk, input aresetn,
    input [(LANES*BITS+7)/8*8-1:0] s_axis_tdata, input s_axis_tvalid, output s_axis_tready, input s_axis_tlast,
    output [LANES*8-1:0] m_axis_tdata, output m_axis_tvalid, input m_axis_tready, output m_axis_tlast,
    output reg frame_error);

  wire s0_valid;
  wire s0_ready;
  wire [LANES-1:0] s0_payload;

  reg [LANES-1:0] held;
  reg full, stuck;
  reg [15:0] in_beat, out_beat, total;
  reg [7:0] noise;
  wire take = s_axis_tvalid & s_axis_tready;
  wire give = s0_valid & s0_ready;

  assign s_axis_tready = aresetn & (!full | give) & !stuck;
  assign s0_valid = full;
  assign s0_ready = m_axis_tready & !(BUG == 2 & noise[1:0] == 0);
  assign s0_payload = held ^ ((BUG == 10 & total == 5) ? 1 : 0);

  genvar i;
  generate for (i = 0; i < LANES; i = i + 1) begin : lane
    assign m_axis_tdata[i*8+:8] = {7'b0, held[i] ^ (BUG == 5 & total == 17 & i == 0) ^ (BUG == 1 & noise[0] & !m_axis_tready)};
  end endgenerate
  assign m_axis_tvalid = (full & !(BUG == 2 & noise[1:0] == 0)) | (BUG == 8 & !aresetn);
  assign m_axis_tlast = (out_beat == BEATS - 1) ^ (BUG == 3 & total == 7);

  integer n;
  always @(posedge aclk) begin
    noise <= {noise[6:0], noise[7] ^ noise[5] ^ noise[4] ^ noise[3]};
    if (!aresetn) begin
      full <= 0; stuck <= 0; in_beat <= 0; out_beat <= 0; total <= 0; frame_error <= 0; noise <= 1;
      if (BUG == 11) out_beat <= out_beat;
    end else begin
      if (take) begin
        for (n = 0; n < LANES; n = n + 1) held[n] <= s_axis_tdata[n*BITS+:BITS] >= T;
        full <= !(BUG == 4 & total == 20);
        in_beat <= (in_beat == BEATS - 1 | (BUG == 7 & s_axis_tlast)) ? 0 : in_beat + 1;
        if (BUG != 9 & s_axis_tlast != (in_beat == BEATS - 1)) frame_error <= 1;
        total <= total + 1;
        if (BUG == 6 & total == 30) stuck <= 1;
      end else if (give) full <= 0;
      if (give) out_beat <= out_beat == BEATS - 1 ? 0 : out_beat + 1;
      if (BUG == 7 & take & s_axis_tlast & in_beat != BEATS - 1) out_beat <= 0;
    end
  end
endmodule
