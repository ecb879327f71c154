// The cloud that turns: orbit by dragging, zoom by pinching or (once clicked) by the wheel, pan with the right button.
// Reads its bytes from the page itself. Where WebGL is missing, the still picture below the canvas stays.
"use strict";
(() => {
  const root = document.getElementById("viewer");
  if (!root) return;
  const canvas = root.querySelector("canvas");
  const gl = canvas.getContext("webgl", { antialias: true, alpha: true, premultipliedAlpha: true });
  if (!gl) return;

  const bytes = (id) => {
    const text = atob(document.getElementById(id).textContent.trim());
    const out = new Uint8Array(text.length);
    for (let i = 0; i < text.length; i++) out[i] = text.charCodeAt(i);
    return out;
  };
  const count = Number(root.dataset.count);
  const spacing = Number(root.dataset.spacing);
  const cloud = bytes("cloud-bytes");
  const frusta = new Float32Array(bytes("camera-bytes").buffer);

  const compile = (vertex, fragment) => {
    const program = gl.createProgram();
    for (const [kind, source] of [[gl.VERTEX_SHADER, vertex], [gl.FRAGMENT_SHADER, fragment]]) {
      const shader = gl.createShader(kind);
      gl.shaderSource(shader, source);
      gl.compileShader(shader);
      gl.attachShader(program, shader);
    }
    gl.linkProgram(program);
    return gl.getProgramParameter(program, gl.LINK_STATUS) ? program : null;
  };
  const points = compile(
    `attribute vec3 place; attribute vec3 color; uniform mat4 view; uniform float size; varying vec3 shade;
     void main() {
       gl_Position = view * vec4(place, 1.0);
       gl_PointSize = clamp(size / gl_Position.w, 1.0, 64.0);
       shade = color;
     }`,
    `precision mediump float; varying vec3 shade;
     void main() {
       vec2 d = gl_PointCoord - 0.5;
       if (dot(d, d) > 0.25) discard;
       gl_FragColor = vec4(shade, 1.0);
     }`);
  const lines = compile(
    `attribute vec3 place; uniform mat4 view; void main() { gl_Position = view * vec4(place, 1.0); }`,
    `precision mediump float; uniform vec4 ink; void main() { gl_FragColor = vec4(ink.rgb * ink.a, ink.a); }`);
  if (!points || !lines) return;

  const upload = (data) => {
    const buffer = gl.createBuffer();
    gl.bindBuffer(gl.ARRAY_BUFFER, buffer);
    gl.bufferData(gl.ARRAY_BUFFER, data, gl.STATIC_DRAW);
    return buffer;
  };
  const placeBuffer = upload(cloud.subarray(0, count * 6));
  const colorBuffer = upload(cloud.subarray(count * 6));
  // Corner pairs of a frustum: centre to corners, the image's outline, and the tip that shows which way is up.
  const pairs = [0, 1, 0, 2, 0, 3, 0, 4, 1, 2, 2, 3, 3, 4, 4, 1, 1, 5, 5, 2];
  const wires = new Float32Array((frusta.length / 18) * pairs.length * 3);
  let at = 0;
  for (let v = 0; v < frusta.length; v += 18)
    for (const corner of pairs) for (let k = 0; k < 3; k++) wires[at++] = frusta[v + corner * 3 + k];
  const wireBuffer = upload(wires);

  const state = {};
  let showCameras = false;
  let spinning = !matchMedia("(prefers-reduced-motion: reduce)").matches;
  let visible = true;
  let pending = false;
  let touched = false; // until then, the picture is fitted anew whenever the canvas changes its shape
  let last = 0;

  const LENS = 3.0; // half the picture's height is seen under the tangent 1 / LENS
  const basis = () => {
    const cy = Math.cos(state.yaw), sy = Math.sin(state.yaw), cp = Math.cos(state.pitch), sp = Math.sin(state.pitch);
    return { right: [cy, 0, -sy], up: [-sy * sp, cp, -cy * sp], back: [sy * cp, sp, cy * cp] };
  };
  const matrix = () => {
    const { right, up, back } = basis();
    const aspect = canvas.width / canvas.height;
    const near = state.distance * 0.02, far = state.distance * 2 + 60;
    const eye = [0, 1, 2].map((k) => [state.x, state.y, state.z][k] + back[k] * state.distance);
    const dot = (a) => -(a[0] * eye[0] + a[1] * eye[1] + a[2] * eye[2]);
    const a = (far + near) / (near - far), b = (2 * far * near) / (near - far);
    const fx = LENS / aspect, fy = LENS;
    const out = new Float32Array(16);
    for (let k = 0; k < 3; k++) {
      out[k * 4] = fx * right[k];
      out[k * 4 + 1] = fy * up[k];
      out[k * 4 + 2] = a * back[k];
      out[k * 4 + 3] = -back[k];
    }
    out[12] = fx * dot(right);
    out[13] = fy * dot(up);
    out[14] = a * dot(back) + b;
    out[15] = -dot(back);
    return out;
  };

  const draw = (time) => {
    pending = false;
    if (spinning && visible) {
      state.yaw += Math.min(50, time - last) * 0.00022;
      ask();
    }
    last = time;
    const ratio = Math.min(2, devicePixelRatio || 1);
    const width = Math.round(canvas.clientWidth * ratio), height = Math.round(canvas.clientHeight * ratio);
    if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
    gl.viewport(0, 0, width, height);
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
    gl.enable(gl.DEPTH_TEST);
    const out = matrix();
    gl.disable(gl.BLEND);
    gl.useProgram(points);
    gl.uniformMatrix4fv(gl.getUniformLocation(points, "view"), false, out);
    gl.uniform1f(gl.getUniformLocation(points, "size"), spacing * 1.9 * LENS * height * 0.5);
    bind(points, "place", placeBuffer, gl.SHORT);
    bind(points, "color", colorBuffer, gl.UNSIGNED_BYTE);
    gl.drawArrays(gl.POINTS, 0, count);
    if (showCameras) {
      gl.enable(gl.BLEND);
      gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
      gl.useProgram(lines);
      gl.uniformMatrix4fv(gl.getUniformLocation(lines, "view"), false, out);
      gl.uniform4f(gl.getUniformLocation(lines, "ink"), 0.3, 0.5, 0.95, 0.85);
      bind(lines, "place", wireBuffer, gl.FLOAT);
      gl.drawArrays(gl.LINES, 0, wires.length / 3);
    }
  };
  const bind = (program, name, buffer, type) => {
    const place = gl.getAttribLocation(program, name);
    gl.bindBuffer(gl.ARRAY_BUFFER, buffer);
    gl.enableVertexAttribArray(place);
    gl.vertexAttribPointer(place, 3, type, true, 0, 0);
  };
  const ask = () => {
    if (pending) return;
    pending = true;
    requestAnimationFrame(draw);
  };

  const buttons = {};
  for (const button of root.querySelectorAll("button")) buttons[button.dataset.does] = button;
  const press = (name, on) => buttons[name].setAttribute("aria-pressed", String(on));
  const rest = () => {
    spinning = false;
    touched = true;
    press("spin", false);
  };
  const turn = (dx, dy) => {
    state.yaw -= dx * 0.008;
    state.pitch = Math.max(-1.5, Math.min(1.5, state.pitch + dy * 0.008));
  };
  const pan = (dx, dy) => {
    const { right, up } = basis();
    const step = (state.distance * 2) / (LENS * canvas.clientHeight);
    ["x", "y", "z"].forEach((axis, k) => (state[axis] += (up[k] * dy - right[k] * dx) * step));
  };
  const zoom = (factor) => (state.distance = Math.max(0.15, Math.min(60, state.distance * factor)));

  const fingers = new Map();
  canvas.addEventListener("pointerdown", (event) => {
    fingers.set(event.pointerId, event);
    canvas.setPointerCapture(event.pointerId);
    rest();
  });
  canvas.addEventListener("pointermove", (event) => {
    const before = fingers.get(event.pointerId);
    if (!before) return;
    const dx = event.clientX - before.clientX, dy = event.clientY - before.clientY;
    if (fingers.size === 2) {
      const [other] = [...fingers.values()].filter((f) => f.pointerId !== event.pointerId);
      const gap = (f) => Math.hypot(f.clientX - other.clientX, f.clientY - other.clientY) || 1;
      zoom(gap(before) / gap(event));
      pan(dx / 2, dy / 2);
    } else if (event.buttons & 2 || event.shiftKey) pan(dx, dy);
    else turn(dx, dy);
    fingers.set(event.pointerId, event);
    ask();
  });
  for (const end of ["pointerup", "pointercancel"])
    canvas.addEventListener(end, (event) => fingers.delete(event.pointerId));
  canvas.addEventListener("contextmenu", (event) => event.preventDefault());
  canvas.addEventListener("wheel", (event) => {
    // The page must stay scrollable: the wheel zooms only after a click into the picture, or with Ctrl.
    if (document.activeElement !== canvas && !event.ctrlKey) return;
    event.preventDefault();
    rest();
    zoom(Math.exp(Math.max(-60, Math.min(60, event.deltaY)) * 0.002));
    ask();
  }, { passive: false });
  canvas.addEventListener("keydown", (event) => {
    const act = {
      ArrowLeft: () => turn(-14, 0), ArrowRight: () => turn(14, 0), ArrowUp: () => turn(0, -14),
      ArrowDown: () => turn(0, 14), "+": () => zoom(0.9), "=": () => zoom(0.9), "-": () => zoom(1.1),
    }[event.key];
    if (!act) return;
    event.preventDefault();
    rest();
    act();
    ask();
  });
  buttons.spin.addEventListener("click", () => {
    spinning = !spinning;
    press("spin", spinning);
    ask();
  });
  buttons.cameras.addEventListener("click", () => {
    showCameras = !showCameras;
    press("cameras", showCameras);
    reset();
    ask();
  });
  // Start, and start again, where the cloud (or, with them shown, all cameras) fills the picture from every side.
  const reset = () => {
    Object.assign(state, { yaw: 0.35, pitch: 0.42, distance: 0, x: 0, y: 0, z: 0 });
    const aspect = canvas.clientWidth / Math.max(1, canvas.clientHeight);
    const places = new Int16Array(cloud.buffer, 0, count * 3);
    const xyz = [];
    for (let i = 0; i < Math.min(count, 3000) * 3; i++) xyz.push(places[i] / 32767);
    if (showCameras) xyz.push(...frusta.subarray(0, 18 * 250));
    for (let turned = 0; turned < 12; turned++) {
      state.yaw += Math.PI / 6;
      const { right, up, back } = basis();
      for (let i = 0; i < xyz.length; i += 3) {
        const along = (a) => a[0] * xyz[i] + a[1] * xyz[i + 1] + a[2] * xyz[i + 2];
        const wide = Math.max((Math.abs(along(right)) * LENS) / aspect, Math.abs(along(up)) * LENS);
        state.distance = Math.max(state.distance, wide * 1.08 + along(back));
      }
    }
  };
  buttons.reset.addEventListener("click", () => {
    reset();
    ask();
  });
  press("spin", spinning);
  reset();
  new IntersectionObserver(([entry]) => {
    visible = entry.isIntersecting;
    if (visible) ask();
  }).observe(canvas);
  new ResizeObserver(() => {
    if (!touched) reset();
    ask();
  }).observe(canvas);
  canvas.addEventListener("webglcontextlost", () => root.classList.remove("live"));
  root.classList.add("live");
  ask();
})();
